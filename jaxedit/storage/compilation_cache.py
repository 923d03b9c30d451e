"""Compiled programs kept between the runs of the command line, so that only the first one waits for XLA."""

import hashlib
import os
import platform
from pathlib import Path

import jax

from jaxedit.storage.download import cache_dir

_LEAST_SECONDS = 0.3
"""What compiles faster is not worth a file."""


def keep_compiled_programs() -> None:
    """Let JAX keep its programs in the cache, unless the environment says where, or that it should not."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ or "JAX_ENABLE_COMPILATION_CACHE" in os.environ:
        return
    jax.config.update("jax_compilation_cache_dir", str(cache_dir() / "compiled" / _machine()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _LEAST_SECONDS)


def _machine() -> str:
    """A name for the instructions that the processor knows: a home folder may be shared by several machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        known = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        known = platform.processor()
    return hashlib.sha256(f"{platform.machine()} {known}".encode()).hexdigest()[:12]
