"""A conditional generator kept to one of its classes: to everything that edits, an unconditional generator."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator
from jaxedit.nn.parameters import Buffer


class ConditionedGenerator(nnx.Module):
    """`mapping` of one class; all else is the generator's.

    Axes are learnt for one class at a time: each has its own distribution of w.

    Args:
        generator: a conditional generator.
        index: of the class.

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
        """Number of style inputs that W+ addresses."""
        return self.generator.num_ws

    @property
    def resolution(self) -> int:
        """Height and width of the image."""
        return self.generator.resolution

    def mapping(
        self,
        z: Float[Array | np.ndarray, "batch z_dim"],
        *,
        c: Float[Array | np.ndarray, "classes c_dim"] | None = None,
        truncation_psi: float | Float[Array, ""] = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]:
        """z ↦ w of this class.

        Raises:
            InputError: if a class is given, or as the generator's own.
        """
        if c is not None:
            raise InputError("c: expected none, the generator is kept to one class")
        classes = jnp.broadcast_to(self.one_hot[...], (z.shape[0], *self.one_hot[...].shape))
        return self.generator.mapping(
            z, c=classes, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff
        )

    def synthesis(
        self,
        w: Float[Array | np.ndarray, "batch w_dim"] | Float[Array | np.ndarray, "batch num_ws w_dim"],
        **options: Any,
    ) -> Float[Array, "batch resolution resolution 3"]:
        """The generator's."""
        return self.generator.synthesis(w, **options)

    def describe(self) -> dict[str, Any]:
        """Refused: what is saved is the generator.

        Raises:
            InputError: always.
        """
        raise InputError("generator: expected one with all its classes to save, got one kept to a class")
