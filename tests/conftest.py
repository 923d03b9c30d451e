"""What tests share: the real generator, fetched once into the user's cache."""

import ctypes
import gc
import os
import subprocess
import sys
import tempfile
import zlib
from importlib.metadata import version
from pathlib import Path

# One folder of compiled programs for all tests of a run and the processes that they start: much of the time is XLA's.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"jaxedit-tests-{os.getuid()}")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import jax
import numpy as np
import pytest

from jaxedit import cli
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.pretrained.registry import load_generator

FIXTURES = Path(__file__).parent / "fixtures"


QUICK_COMPILATION = "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=1"
"""Flags of XLA: small programs compile in two thirds of the time and run nearly as fast."""


def is_known_to_xla(flags: str) -> bool:
    """Whether this XLA takes the flags. It ends a process that gives it others, so another process asks; once."""
    folder = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    answer = folder / f"flags-{version('jaxlib')}-{zlib.crc32(flags.encode())}"
    if not answer.exists():
        code = "import jax; jax.devices()"
        environment = os.environ | {"XLA_FLAGS": flags}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
        folder.mkdir(parents=True, exist_ok=True)
        answer.write_text("known" if done.returncode == 0 else "unknown")
    return answer.read_text() == "known"


def pytest_configure() -> None:
    """Takes the flags where the tests ask for them. `make test-slow` compiles as users do, with all optimizations."""
    given = os.environ.get("XLA_FLAGS", "")
    # A worker has them from the process that started it.
    is_asked_for = os.environ.get("JAXEDIT_TESTS_QUICK_COMPILATION") == "1" and QUICK_COMPILATION not in given
    if is_asked_for and is_known_to_xla(QUICK_COMPILATION):
        os.environ["XLA_FLAGS"] = f"{given} {QUICK_COMPILATION}".strip()


@pytest.fixture(scope="module", autouse=True)
def release_memory():
    """Compiled programs of a module are dropped at its end: those of all modules would take gigabytes."""
    yield
    jax.clear_caches()
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="session")
def generator() -> MobileStyleGAN:
    return load_generator("mobile-stylegan-ffhq")


@pytest.fixture(scope="session")
def reference() -> dict[str, np.ndarray]:
    """z, w and images of the original network under OpenVINO, float32."""
    with np.load(FIXTURES / "mobile_stylegan_ffhq_reference.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="session")
def images(generator: MobileStyleGAN, reference: dict[str, np.ndarray]) -> np.ndarray:
    """The images of the reference latents, made here."""
    return np.asarray(generator.synthesis(jax.numpy.asarray(reference["w"])))


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command in this process; gives exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["jaxedit", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        return (exit_.value.code, *capsys.readouterr())

    return run


def pytest_make_parametrize_id(val: object) -> str | None:
    """Names of tests that are readable, and the same in every process, though a zip holds the time it was made."""
    return f"{len(val)}bytes" if isinstance(val, bytes) else None
