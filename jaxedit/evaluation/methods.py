"""Editing methods under evaluation: anything that maps (w, attribute, amount) to an edited latent."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator
from jaxedit.latents.direction_files import read_direction_file


@runtime_checkable
class EditingMethod(Protocol):
    """An editing method, as evaluation needs it.

    Attributes:
        name: for tables and plots.
        attribute_names: the attributes that it can move.
    """

    @property
    def name(self) -> str:
        """For tables and plots."""
        ...

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The attributes that it can move."""
        ...

    def edit(
        self, w: Float[Array, "batch w_dim"], attribute: str, amounts: Float[Array, " batch"]
    ) -> Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]:
        """Move each latent along an attribute by its own amount, in the method's own unit.

        A larger amount must mean more of the attribute, and 0 must leave the latent as it is. The size of the unit does
        not matter, since evaluation finds the amounts of equal change, but amounts of about 0.5 to 3 should be useful.

        Returns:
            Latents of W, or of W+ where layers differ.
        """
        ...


@runtime_checkable
class CalibratedMethod(EditingMethod, Protocol):
    """A method that also takes values in the attribute's own unit."""

    def edit_to(
        self, w: Float[Array, "batch w_dim"], attribute: str, values: Float[Array, " batch"]
    ) -> Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]:
        """Move each latent to where the attribute has the given value, in years, degrees, …"""
        ...


@dataclasses.dataclass(frozen=True)
class AxesMethod:
    """Learned attribute axes as a method; amounts are standard deviations.

    Attributes:
        name: for tables and plots.
        axes: the axes.
    """

    name: str
    axes: AttributeAxes

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """All attributes of the axes."""
        return tuple(self.axes.attribute_names)

    def edit(
        self,
        w: Float[Array | np.ndarray, "batch w_dim"],
        attribute: str,
        amounts: Float[Array | np.ndarray, " batch"],
    ) -> Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]:
        """`AttributeAxes.edit`."""
        return self.axes.edit(w, {attribute: amounts})

    def edit_to(
        self,
        w: Float[Array | np.ndarray, "batch w_dim"],
        attribute: str,
        values: Float[Array | np.ndarray, " batch"],
    ) -> Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]:
        """`AttributeAxes.edit` to a value in the attribute's own unit."""
        return self.axes.edit(w, {attribute: values}, absolute=True, units="raw")


@dataclasses.dataclass(frozen=True)
class LinearDirections:
    """One straight direction for each attribute: w' = w + a dᵢ, with a the amount.

    Attributes:
        name: for tables and plots.
        attribute_names: one for each direction.
        directions: dᵢ in W, or in W+ where layers differ.
    """

    name: str
    attribute_names: tuple[str, ...]
    directions: (
        Float[Array | np.ndarray, "num_attributes w_dim"]
        | Float[Array | np.ndarray, "num_attributes num_ws w_dim"]
    )

    def edit(
        self,
        w: Float[Array | np.ndarray, "batch w_dim"],
        attribute: str,
        amounts: Float[Array | np.ndarray, " batch"],
    ) -> Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]:
        """w + a d.

        Raises:
            InputError: if there is no direction of that name.
        """
        if attribute not in self.attribute_names:
            raise InputError(
                f"attribute {attribute!r}: expected one of {', '.join(self.attribute_names)} ({self.name})"
            )
        if w.ndim != 2 or self.directions.shape[-1] != w.shape[1]:
            raise InputError(
                f"{self.name}: expected latents [batch, {self.directions.shape[-1]}], as the directions', got shape "
                f"{list(w.shape)}"
            )
        direction = jnp.asarray(self.directions)[self.attribute_names.index(attribute)]
        return _add(jnp.asarray(w), direction, jnp.asarray(amounts))


def check_methods(generator: Generator, methods: Sequence[EditingMethod]) -> None:
    """Refuse axes and directions that do not belong to a generator, before anything is rendered.

    Args:
        generator: makes images of the edited latents.
        methods: those to check; only axes and linear directions are looked at.

    Raises:
        InputError: if a shape does not fit, or axes carry the fingerprint of another generator.
    """
    width, layers = generator.w_dim, generator.num_ws
    for method in methods:
        if isinstance(method, AxesMethod):
            method.axes.check_generator(generator, name=f"axes {method.name!r}")
        elif isinstance(method, LinearDirections) and method.directions.shape[1:] not in (
            (width,),
            (layers, width),
        ):
            raise InputError(
                f"directions {method.name!r}: expected directions of shape [{width}] or [{layers}, {width}], as this "
                f"generator's latents, got {list(method.directions.shape[1:])}"
            )


@jax.jit
def _add(w: Array, direction: Array, amounts: Array) -> Array:
    if direction.ndim == 1:
        return w + amounts[:, None] * direction
    return w[:, None] + amounts[:, None, None] * direction


def load_directions(
    path: str | Path, *, name: str, rename: Mapping[str, str] | None = None
) -> LinearDirections:
    """Directions from a file, as they are published.

    Args:
        path: an `.npz` of one array for each attribute, [w_dim] in W or [num_ws, w_dim] in W+; or another file that
            `jaxedit.latents.direction_files` lists (boundaries of InterfaceGAN, directions of encoder4editing,
            components of GANSpace), or a folder of them.
        name: for tables and plots.
        rename: names of attributes by the names in the file; other directions keep theirs. A minus before the
            attribute reverses the direction: {"pose": "-yaw"}.

    Returns:
        The directions, each scaled to length 5: published directions are unit vectors, and useful edits several units
        long.

    Raises:
        InputError: if the file cannot be read, an array is no direction, the directions differ in shape, a name to
            rename is not in the file, or two directions get one name.
    """
    rename, arrays = dict(rename or {}), read_direction_file(path)
    unknown = [key for key in rename if key not in arrays]
    if unknown:
        raise InputError(f"{path}: expected {unknown[0]!r} among its directions: {', '.join(arrays)}")
    shapes = sorted({array.shape for array in arrays.values()})
    if len(shapes) != 1:
        raise InputError(f"{path}: expected directions [w_dim] or [num_ws, w_dim] of one shape, got {shapes}")
    lengths = {key: np.linalg.norm(array, axis=-1).mean() for key, array in arrays.items()}
    names = tuple(rename.get(key, key).removeprefix("-") for key in arrays)
    if len(set(names)) != len(names):
        raise InputError(f"{path}: expected a direction for each attribute, got {', '.join(names)}")
    scales = [(-5 if rename.get(key, key).startswith("-") else 5) / lengths[key] for key in arrays]
    return LinearDirections(
        name, names, np.stack([scale * array for scale, array in zip(scales, arrays.values(), strict=True)])
    )


def load_direction_files(
    paths: Mapping[str, str | Path], *, rename: Mapping[str, str] | None = None
) -> list[LinearDirections]:
    """Directions from several files, one method for each.

    Args:
        paths: files by the names of their methods.
        rename: as in `load_directions`; a name need not be in every file.

    Raises:
        InputError: as `load_directions`, or if a name to rename is in no file.
    """
    rename = dict(rename or {})
    keys = {name: set(read_direction_file(path)) for name, path in paths.items()}
    unused = [key for key in rename if not any(key in some for some in keys.values())]
    if unused:
        raise InputError(f"rename: expected the name of a direction in a file, {unused[0]!r} is in none")
    return [
        load_directions(path, name=name, rename={k: v for k, v in rename.items() if k in keys[name]})
        for name, path in paths.items()
    ]
