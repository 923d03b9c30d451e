"""The environment of a run: versions, devices, peak memory."""

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

from jaxedit._version import __version__
from jaxedit.errors import JaxeditError

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow")


def versions() -> dict[str, str]:
    """Versions of this library, of Python, and of the packages that the numbers depend on."""
    return {"jaxedit": __version__, "python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in _PACKAGES
    }


def devices() -> list[str]:
    """The devices that JAX computes on, such as "cpu" or "gpu (NVIDIA H100)"."""
    import jax  # here, so that versions cost no import of JAX

    return [
        d.platform if d.device_kind.lower() == d.platform else f"{d.platform} ({d.device_kind})"
        for d in jax.devices()
    ]


def check_devices() -> None:
    """Let JAX find its devices, so that a failure has its own message, and is not taken for one of a file.

    Raises:
        JaxeditError: if it finds none.
    """
    import jax

    try:
        jax.devices()
    except Exception as error:  # RuntimeError and, where several platforms are asked for, others
        wanted = os.environ.get("JAX_PLATFORMS")
        advice = (
            f"JAX_PLATFORMS is {wanted!r}: unset it for the devices that there are"
            if wanted
            else ("JAX_PLATFORMS=cpu computes on the processor")
        )
        reason = " ".join(str(error).split()) or type(error).__name__
        raise JaxeditError(f"JAX cannot use its devices: {reason} ({advice})") from error


def peak_memory_gb() -> float | None:
    """The peak memory of this process so far, in 10⁹ bytes; None where the system does not tell."""
    try:
        # Linux. getrusage would start at the memory of the parent process.
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e9
    except (OSError, IndexError, ValueError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9
