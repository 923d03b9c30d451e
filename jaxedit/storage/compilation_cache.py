"""Compiled programs kept between the runs of the command line, so that only the first run waits for XLA."""

import hashlib
import os
import platform
import sys
from pathlib import Path

from jaxedit.storage.download import cache_dir

_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_LEAST_SECONDS = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"


def keep_compiled_programs() -> None:
    """Let JAX keep its programs in the cache, unless the environment says where, or that it should not.

    JAX reads the environment when it is imported, so call this before. The call itself does not import JAX.
    """
    if _FOLDER in os.environ or "JAX_ENABLE_COMPILATION_CACHE" in os.environ or "jax" in sys.modules:
        return
    os.environ[_FOLDER] = str(cache_dir() / "compiled" / _machine())
    # What compiles faster is not worth a file.
    os.environ.setdefault(_LEAST_SECONDS, "0.1")


def _machine() -> str:
    """A name for the instructions that the processor knows: a home folder may be shared by several machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        known = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        known = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {known}".encode()).hexdigest()[:12]
