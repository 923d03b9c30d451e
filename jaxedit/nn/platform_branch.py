"""One function for a CPU, another for accelerators."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax

T = TypeVar("T")


def platform_branch(*operands: Any, cpu: Callable[..., T], default: Callable[..., T]) -> T:
    """`jax.lax.platform_dependent`, with half of the tracing where there is only a CPU.

    Both functions are traced where there is an accelerator, since the device is known only when the program is lowered.
    Without one, only `cpu` is traced; the compiled program is the same.

    Args:
        operands: arguments of the functions.
        cpu: the function for a CPU.
        default: the function for every other device. It returns arrays of the same shapes and dtypes.
    """
    if jax.default_backend() == "cpu":
        return cpu(*operands)
    return jax.lax.platform_dependent(*operands, cpu=cpu, default=default)
