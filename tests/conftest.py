"""What tests share: the real generator, fetched once into the user's cache."""

import ctypes
import gc
import math
import os
import shutil
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

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

IS_QUICK = os.environ.get("JAXEDIT_TESTS_QUICK_COMPILATION") == "1"
"""Whether small programs compile with few optimizations, as in `make test`; all other targets compile as users do."""


COMPUTES_FOR_LONG = (
    "cli/test_align_command",
    "demos/",
    "evaluation/test_lpips_distance",
    "examples/",
    "generators/mobile_stylegan/",
    "inversion/",
    "labels/test_labeling",
    "test_docstring_examples",
)
"""Tests whose programs run longer than they compile, or that compare bits with a process of users: these keep all
optimizations."""


LONGEST = (
    "cli/test_project_command",
    "axes/curve_learning/test_refine",
    "test_docstring_examples",
    "inversion/test_project.py",
    "inversion/test_lpips",
    "inversion/test_align",
    "generators/mobile_stylegan/",
    "attributes/",
    "cli/",
    "demos/",
    "docs/",
    "examples/",
)
"""Tests that take longest, in quick ones or in slow ones: they come first."""


def path_of(item) -> str:
    return item.path.relative_to(Path(__file__).parent).as_posix()


def pytest_collection_modifyitems(items):
    """A long module at the end would keep one process busy while the other has nothing left to do.

    Modules that compile in one way stand together, since programs of the other way are dropped.
    """
    items.sort(
        key=lambda item: [not path_of(item).startswith(names) for names in (LONGEST, COMPUTES_FOR_LONG)]
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """The module's way of compiling, before its fixtures: those of a whole session are made within it, too."""
    is_quick = IS_QUICK and not path_of(item).startswith(COMPUTES_FOR_LONG)
    if is_quick != jax.config.read("jax_disable_most_optimizations"):
        jax.clear_caches()  # of programs compiled in the other way
        jax.config.update("jax_disable_most_optimizations", is_quick)


@pytest.fixture(scope="module", autouse=True)
def release_memory():
    """Compiled programs are dropped where they pile up: those of all modules would take gigabytes."""
    yield
    if resident_bytes() > 0.8e9:
        jax.clear_caches()
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)


def resident_bytes() -> float:
    """Memory of this process; where that is not known, as if it were much."""
    if sys.platform != "linux":
        return math.inf
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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
    """The images of the reference latents, made here, with all optimizations whichever module comes first."""
    is_quick = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    images = np.asarray(generator.synthesis(jax.numpy.asarray(reference["w"])))
    jax.config.update("jax_disable_most_optimizations", is_quick)
    return images


@pytest.fixture(scope="module")
def launch():
    """Starts the Chromium of this machine, driven by Playwright, with more arguments."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        if CHROMIUM is None and not Path(playwright.chromium.executable_path).exists():
            pytest.fail("no Chromium here: apt-get install chromium, or playwright install chromium")
        browsers = []

        def launch(*arguments):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *arguments])
            browsers.append(browser)
            return browser

        yield launch
        for browser in browsers:
            browser.close()


@pytest.fixture(scope="module")
def browser(launch):
    """The Chromium of this machine."""
    return launch()


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
