"""What tests share: the real generator, fetched once into the user's cache."""

import ctypes
import gc
import os
import sys
import tempfile
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


COMPUTES_FOR_LONG = (
    "cli/test_align_command",
    "cli/test_project_command",
    "demos/",
    "evaluation/test_lpips_distance",
    "examples/",
    "generators/mobile_stylegan/",
    "inversion/",
    "labels/test_labeling",
    "test_docstring_examples",
)
"""Tests whose programs run longer than they compile: these keep all optimizations."""


@pytest.fixture(scope="module", autouse=True)
def quick_compilation(request):
    """`make test` compiles with few optimizations where programs are small; all other targets compile as users do."""
    path = request.path.relative_to(Path(__file__).parent).as_posix()
    is_quick = os.environ.get("JAXEDIT_TESTS_QUICK_COMPILATION") == "1" and not path.startswith(
        COMPUTES_FOR_LONG
    )
    jax.config.update("jax_disable_most_optimizations", is_quick)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


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
