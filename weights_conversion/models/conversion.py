"""Result of a conversion, and the options for what a file does not hold."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from weights_conversion.errors import ConversionError

Loader = Callable[[Any, str], np.ndarray]
"""From a tensor as the file holds it and its name to the array. Raises `ConversionError`."""


class Conversion(NamedTuple):
    """A converted generator."""

    description: str
    """The foreign format, in words."""
    config: dict[str, Any]
    params: dict[str, Any]
    """Nested dict of float32 arrays."""
    notes: tuple[str, ...] = ()
    """What was assumed or made up because the file does not hold it, one sentence each."""


class Options(NamedTuple):
    """What a plain state dict of a StyleGAN2 does not hold. Files that hold these values ignore the options."""

    conv_clamp: float | str | None = "unknown"
    """The `conv_clamp` of the generator: a number, None for no clamp, or "unknown"."""
    lr_multiplier: float = 0.01
    """The `lr_multiplier` of the mapping network."""

    def known_clamp(self, *, name: str) -> float | None:
        """The clamp.

        Raises:
            ConversionError: if it is unknown.
        """
        if isinstance(self.conv_clamp, str):
            raise ConversionError(
                f"{name}: expected the option --conv-clamp, because a state dict does not hold it: 256 for what "
                "NVIDIA's code trained in mixed precision (its default), none for what was converted from TensorFlow"
            )
        return self.conv_clamp
