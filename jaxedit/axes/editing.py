"""Edits: what is asked of latents, and how it is carried out.

An `Edit` says where the attribute axes shall lead: it turns the code c of a latent into the code c' of its edit. A
path (`jaxedit.axes.paths`) says how latents move there. Together:

    c = path.positions(w),        c' = edit.targets(c),        w' = path.move(w, c, c').

All of it is pure functions of arrays and pytrees. The amounts are a dense vector, so other amounts or other attributes
run the same compiled program. `jaxedit.AttributeAxes.edit` takes names and checks them.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxedit.axes.paths import EditPath
from jaxedit.errors import InputError
from jaxedit.labels.quantile_transform import QuantileTransform

Units = Literal["std", "raw"]
_MOST_DEVIATIONS = 100.0
"""Amounts beyond are slips: ±5 standard deviations hold all images."""
Layers = range | slice | Sequence[int]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["amounts", "selected", "layers"],
    meta_fields=["absolute", "units"],
)
@dataclasses.dataclass(frozen=True)
class Edit:
    """Amounts for the attribute axes; a pytree.

    Attributes:
        amounts: distance to move each attribute, or with `absolute` the position to move it to; one row for all
            latents, or one for each. Float32.
        selected: the attributes to edit; the amounts of the others are not used.
        layers: for W+, the layers to change; None for all.
        absolute: whether amounts are positions instead of moves. Static.
        units: "std": standard deviations of the attribute over the latents; "raw": the unit of the attribute. Static.
    """

    # Unflattening a pytree puts JAX's own stand-ins into the fields, so their types are not enforced.
    __no_type_check__ = True

    amounts: Float[Array | np.ndarray, "one_or_batch num_attributes"]
    selected: Bool[Array | np.ndarray, " num_attributes"]
    layers: Bool[Array | np.ndarray, " num_ws"] | None = None
    absolute: bool = False
    units: Units = "std"

    @classmethod
    def of(
        cls,
        edits: Mapping[str, Any],
        attribute_names: Sequence[str],
        *,
        batch: int = 1,
        absolute: bool = False,
        units: Units = "std",
        layers: Layers | None = None,
        num_ws: int | None = None,
    ) -> "Edit":
        """The edit of amounts by name.

        Args:
            edits: amount of each attribute to edit: a number, or an array [batch]. Under `jax.jit` and `jax.grad`
                amounts may be traced.
            attribute_names: names of the axes.
            batch: number of latents.
            absolute: whether amounts are positions instead of moves.
            units: unit of the amounts.
            layers: layers of W+ to change, as a range, a slice or indices. None for all.
            num_ws: number of layers of W+; None if the latents stay in W.

        Raises:
            InputError: if an attribute, a layer or the unit is unknown, or an amount is neither a finite number nor
                one for each latent.

        Examples:
            >>> from jaxedit.axes.editing import Edit
            >>> edit = Edit.of({"smile": 1.5}, ("age", "smile"))
            >>> edit.amounts.tolist(), edit.selected.tolist()
            ([[0.0, 1.5]], [False, True])
        """
        if units not in get_args(Units):
            raise InputError(f"units: expected 'std' or 'raw', got {units!r}")
        amounts: Any = np.zeros((1, len(attribute_names)), np.float32)
        selected = np.zeros(len(attribute_names), bool)
        for name, amount in edits.items():
            if name not in attribute_names:
                raise InputError(f"edits: unknown attribute '{name}'; known: {', '.join(attribute_names)}")
            values = _checked_amount(name, amount, batch)
            if units == "std":
                _check_size(name, values, "standard deviations", _MOST_DEVIATIONS)
            if values.ndim and len(amounts) != batch:
                amounts = amounts.repeat(batch, axis=0)
            index = attribute_names.index(name)
            selected[index] = True
            if isinstance(values, np.ndarray) and isinstance(amounts, np.ndarray):
                amounts[:, index] = values
            else:
                amounts = jnp.asarray(amounts).at[:, index].set(values)
        mask = None if layers is None else layer_mask(layers, num_ws)
        return cls(amounts, selected, mask, bool(absolute), units)

    def targets(
        self, codes: Float[Array, "batch k"], quantile_transform: QuantileTransform
    ) -> Float[Array, "batch k"]:
        """The codes c' that this edit leads to from the codes c.

        Args:
            codes: codes of the unedited latents; the first axes are the attributes.
            quantile_transform: between positions on the attribute axes and raw values.

        Returns:
            Codes; an axis that the edit does not move keeps its bits.
        """
        num_attributes = self.amounts.shape[-1]
        positions = codes[:, :num_attributes]
        moved: Array | np.ndarray
        if self.units == "raw":
            raw = (
                self.amounts
                if self.absolute
                else quantile_transform.inverse_transform(positions) + self.amounts
            )
            moved = quantile_transform.transform(jnp.broadcast_to(raw, positions.shape))
        else:
            moved = self.amounts if self.absolute else positions + self.amounts
        # A move by nothing must be nothing, also where raw values are rounded on the way there and back.
        moves = self.selected if self.absolute else self.selected & (self.amounts != 0)
        return codes.at[:, :num_attributes].set(jnp.where(moves, moved, positions))


def apply_edit(
    path: EditPath,
    quantile_transform: QuantileTransform,
    edit: Edit,
    w: Float[Array, "batch *num_ws w_dim"],
) -> Float[Array, "batch *layers_out w_dim"]:
    """Move latents along a path by an edit.

    Args:
        path: `DecoderPath`, `CurvePath` or `PivotPath`.
        quantile_transform: between positions on the axes and raw values.
        edit: amounts, attributes and layers.
        w: latents of W [batch, w_dim] or W+ [batch, num_ws, w_dim].

    Returns:
        Edited latents. NaN in a latent gives NaN in that latent.
    """
    start = path.positions(w)
    moved = path.move(w, start, edit.targets(start, quantile_transform))
    if edit.layers is None:
        return moved
    return jnp.where(edit.layers[:, None], moved, w if w.ndim == moved.ndim else w[:, None])


def layer_mask(layers: Layers, num_ws: int | None) -> Bool[np.ndarray, " num_ws"]:
    """The layers of W+ that a range, a slice or a list of indices names, as a mask.

    Args:
        layers: which.
        num_ws: number of layers; None for latents that have none.

    Raises:
        InputError: if there are no layers, it names none, or one that does not exist.
    """
    if num_ws is None:
        raise InputError("layers: expected latents of W+ [batch, num_ws, w_dim], got latents of W")
    indices = range(num_ws)[layers] if isinstance(layers, slice) else layers
    if not len(indices) or not all(-num_ws <= i < num_ws for i in indices):
        raise InputError(f"layers: expected some of the layers 0…{num_ws - 1}, got {layers!r}")
    mask = np.zeros(num_ws, bool)
    mask[list(indices)] = True
    return mask


def _checked_amount(name: str, amount: Any, batch: int) -> Array | np.ndarray:
    """An amount as an array of float32; on the host, unless it is traced."""
    is_traced = isinstance(amount, jax.core.Tracer)
    values = jnp.asarray(amount, jnp.float32) if is_traced else np.asarray(amount, np.float32)
    fits = values.ndim <= 1 and values.shape in ((), (batch,))
    if not fits or not (is_traced or np.isfinite(values).all()):
        raise InputError(
            f"amount of '{name}': expected a finite number, or {batch} (one for each latent), got {amount!r}"
        )
    return values


def check_raw_amounts(
    edits: Mapping[str, Any], attribute_names: Sequence[str], quantile_transform: QuantileTransform
) -> None:
    """Raise `InputError` if an amount in the unit of its attribute is far beyond all values; not under `jax.jit`."""
    knots = quantile_transform.values
    if isinstance(knots, jax.core.Tracer):
        return
    for name, amount in edits.items():
        if name in attribute_names and not isinstance(amount, jax.core.Tracer):
            own = np.asarray(knots[attribute_names.index(name)], np.float64)
            most = np.abs(own).max() + _MOST_DEVIATIONS * np.ptp(own)
            _check_size(name, np.asarray(amount, np.float64), "the attribute's unit", float(most))


def _check_size(name: str, values: Array | np.ndarray, unit: str, most: float) -> None:
    if isinstance(values, np.ndarray) and (np.abs(values) > most).any():
        got = float(values.ravel()[np.abs(values).argmax()])
        raise InputError(f"amount of '{name}': expected −{most:.3g}…{most:.3g} in {unit}, got {got:.3g}")
