"""One function for a CPU, another for accelerators."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import jax

T = TypeVar("T")

_for_every_platform = ContextVar("for_every_platform", default=False)


def platform_branch(*operands: Any, cpu: Callable[..., T], default: Callable[..., T]) -> T:
    """`jax.lax.platform_dependent`, with half of the tracing where there is only a CPU.

    Both functions are traced where there is an accelerator, since the device is known only when the program is lowered.
    Without one, only `cpu` is traced; the compiled program is the same. Within `for_every_platform` both are traced.

    Args:
        operands: arguments of the functions.
        cpu: the function for a CPU.
        default: the function for every other device. It returns arrays of the same shapes and dtypes.
    """
    if jax.default_backend() == "cpu" and not _for_every_platform.get():
        return cpu(*operands)
    return jax.lax.platform_dependent(*operands, cpu=cpu, default=default)


@contextmanager
def for_every_platform() -> Iterator[None]:
    """Within it, programs are traced for every platform: those that are exported run elsewhere.

    JAX keeps what it has traced. Trace within it only shapes that no other program has, such as those of a symbolic
    batch.
    """
    before = _for_every_platform.set(True)
    try:
        yield
    finally:
        _for_every_platform.reset(before)
