"""A conditional generator with its class chosen, which the rest of the library uses as an unconditional one."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.errors import InputError
from jaxedit.generators.in_places import synthesis_in_places
from jaxedit.generators.protocol import Generator
from jaxedit.nn.parameters import Buffer


class ConditionedGenerator(nnx.Module):
    """A conditional generator whose `mapping` always takes one class.

    Axes are learned for one class at a time, because each class has its own distribution of w.

    Args:
        generator: a conditional generator.
        index: of the class, 0 … c_dim − 1.

    Raises:
        InputError: if the generator has no such class.
    """

    def __init__(self, generator: Generator, index: int) -> None:
        if not 0 <= index < generator.c_dim:
            have = f"0…{generator.c_dim - 1}" if generator.c_dim else "none, the generator has no classes"
            raise InputError(f"class: expected {have}, got {index}")
        self.generator = generator
        self.one_hot = Buffer(jnp.eye(generator.c_dim, dtype=jnp.float32)[index])

    @property
    def z_dim(self) -> int:
        """Width of the input latent."""
        return self.generator.z_dim

    @property
    def c_dim(self) -> int:
        """0: the class is chosen."""
        return 0

    @property
    def w_dim(self) -> int:
        """Width of the intermediate latent."""
        return self.generator.w_dim

    @property
    def num_ws(self) -> int:
        """Number of layers of W+."""
        return self.generator.num_ws

    @property
    def resolution(self) -> int:
        """Height and width of the image; of one that is not square, the longer side."""
        return self.generator.resolution

    def mapping(
        self,
        z: Float[Array | np.ndarray, "batch z_dim"],
        *,
        c: Float[Array | np.ndarray, "classes c_dim"] | None = None,
        truncation_psi: float | Float[Array, ""] = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]:
        """z ↦ w of this class; arguments as those of the generator's `mapping`.

        Raises:
            InputError: if `c` is given, or another argument does not fit the generator.
        """
        if c is not None:
            raise InputError("c: expected none, the class of this generator is chosen")
        classes = jnp.broadcast_to(self.one_hot[...], (z.shape[0], *self.one_hot[...].shape))
        return self.generator.mapping(
            z, c=classes, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff
        )

    def synthesis(
        self,
        w: Float[Array | np.ndarray, "batch w_dim"] | Float[Array | np.ndarray, "batch num_ws w_dim"],
        **options: Any,
    ) -> Float[Array, "batch image_height image_width colors"]:
        """Latents ↦ images, by the generator's `synthesis`."""
        return self.generator.synthesis(w, **options)

    def synthesis_in_places(
        self,
        stages: Sequence[Float[Array | np.ndarray, "_ w_dim"] | Float[Array | np.ndarray, "_ num_ws w_dim"]],
        places: Sequence[Float[Array | np.ndarray, "_ _ _"]],
        colors: Sequence[Float[Array | np.ndarray, "_ _ _"]] | None = None,
        **options: Any,
    ) -> Float[Array, "batch image_height image_width colors"]:
        """One image of several latents, by the generator's own way (`jaxedit.generators.in_places`)."""
        return synthesis_in_places(self.generator, stages, places, colors, **options)

    def describe(self) -> dict[str, Any]:
        """Not possible: save the generator without a class.

        Raises:
            InputError: always.
        """
        raise InputError(
            "generator: expected one with all its classes to save, got one whose class is chosen"
        )

    def with_generator(self, generator: Generator) -> "ConditionedGenerator":
        """The same class of another generator, such as a tuned one."""
        return ConditionedGenerator(generator, int(np.argmax(self.one_hot[...])))


def without_class(generator: Any) -> Any:
    """The generator; of one whose class is chosen, that with all its classes."""
    return generator.generator if isinstance(generator, ConditionedGenerator) else generator
