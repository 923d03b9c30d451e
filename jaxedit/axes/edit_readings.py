"""An edit with the readings before and after it, as one compiled program."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.editing import Edit, Layers, Units, apply_edit, check_raw_amounts
from jaxedit.axes.paths import EditPath
from jaxedit.errors import InputError
from jaxedit.labels.quantile_transform import QuantileTransform


class EditReadings(NamedTuple):
    """Edited latents, and the attributes before and after."""

    w: Float[Array, "batch *layers_out w_dim"]
    """Edited latents."""
    before: Float[Array, "batch num_attributes"]
    """Attributes of the latents, as `AttributeAxes.read` gives them."""
    after: Float[Array, "batch num_attributes"]
    """Attributes of the edited latents."""


def edit_with_readings(
    axes: AttributeAxes,
    w: Float[Array | np.ndarray, "batch *num_ws w_dim"],
    edits: Mapping[str, Any],
    *,
    absolute: bool = False,
    units: Units = "std",
    layers: Layers | None = None,
    pivot: Float[Array | np.ndarray, "one_or_batch layers w_dim"] | None = None,
) -> EditReadings:
    """`AttributeAxes.edit` and two calls of `AttributeAxes.read`, with one program to trace and to compile.

    Args:
        axes: the axes.
        w: latents of W [batch, w_dim] or W+ [batch, num_ws, w_dim], float32.
        edits, absolute, units, layers, pivot: as for `AttributeAxes.edit`.

    Raises:
        InputError: as `AttributeAxes.edit`.
    """
    w = axes._checked(w)
    if not np.isfinite(np.asarray(w)).all():
        raise InputError("latents: expected finite numbers, got NaN or infinity")
    if units == "raw":
        check_raw_amounts(edits, axes.attribute_names, axes.quantile_transform)
    path = axes._from_pivot(axes.path(), pivot, w)
    edit = Edit.of(
        edits,
        axes.attribute_names,
        batch=len(w),
        absolute=absolute,
        units=units,
        layers=layers,
        num_ws=w.shape[1] if w.ndim == 3 else path.num_ws,
    )
    return _edit_and_read(path, axes.quantile_transform, edit, w)


@jax.jit
def _edit_and_read(
    path: EditPath, quantile_transform: QuantileTransform, edit: Edit, w: Float[Array, "batch *num_ws w_dim"]
) -> EditReadings:
    def read(latents: Array) -> Array:
        codes = path.positions(latents)
        return quantile_transform.inverse_transform(codes[:, : len(quantile_transform.values)])

    edited = apply_edit(path, quantile_transform, edit, w)
    return EditReadings(edited, read(w), read(edited))
