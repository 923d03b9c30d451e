"""Edits: latents and amounts in, latents out.

With E and D the encoder and decoder of the axes, V_k the first k principal directions and c = E(w), an edit moves
some entries of c to c' and returns

    difference (default):   w' = w + (D(c') − D(c)) V_kᵀ,
    decode (as published):  w' = μ + D(c') V_kᵀ + tail(w).

The difference keeps all that the autoencoder does not reconstruct, and an edit that moves nothing returns w itself,
bit for bit. On W+ the code is that of the mean over the layers: one image has one position on each axis, and every
chosen layer moves by the same Δw, which keeps what the layers differ by. An edit of w repeated over the layers is
therefore the edit of w.

Axes with layer curves (see `jaxedit.axes.layer_curves`) move each layer of W+ along its own curve instead, and lead
from W to W+.

`edit_latents` is a pure function of arrays and pytrees; the amounts are a dense vector, so other amounts or other
attributes run the same compiled program. `jaxedit.AttributeAxes.edit` takes names instead.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxedit.axes.autoencoder import AxisAutoencoder
from jaxedit.axes.layer_curves import LayerCurves
from jaxedit.errors import InputError
from jaxedit.labels.quantile_transform import QuantileTransform
from jaxedit.latents.pca import PCA

Units = Literal["std", "raw"]
Mode = Literal["difference", "decode"]


def edit_latents(
    pca: PCA,
    quantile_transform: QuantileTransform,
    autoencoder: AxisAutoencoder,
    w: Float[Array, "batch *num_ws w_dim"],
    amounts: Float[Array, "#batch num_attributes"],
    selected: Bool[Array, " num_attributes"],
    layers: Bool[Array, " num_layers"] | None = None,
    *,
    absolute: bool = False,
    units: Units = "std",
    mode: Mode = "difference",
) -> Float[Array, "batch *num_ws w_dim"]:
    """Move latents along attribute axes.

    Args:
        pca: of the axes.
        quantile_transform: between positions on the axes and raw values.
        autoencoder: of the axes.
        w: latents of W [batch, w_dim] or W+ [batch, num_ws, w_dim].
        amounts: how far to move each attribute, or with `absolute` where to.
        selected: which attributes to edit; the others' amounts are not used.
        layers: for W+, which layers to change; None for all.
        absolute: whether amounts are positions instead of moves.
        units: "std": standard deviations of the attribute over the latents; "raw": the attribute's own unit.
        mode: "difference" or "decode", as above.

    Returns:
        Edited latents, of the shape of `w`. NaN in a latent gives NaN in that latent.
    """
    with jax.default_matmul_precision("highest"):
        k, num_attributes = pca.num_components, amounts.shape[-1]
        single = w.mean(1) if w.ndim == 3 else w
        w_pca = pca.transform(single)
        codes = autoencoder.encode(w_pca[:, :k])
        positions = codes[:, :num_attributes]
        moved = _moved(quantile_transform, positions, amounts, selected, absolute=absolute, units=units)
        decoded = autoencoder.decode(codes.at[:, :num_attributes].set(moved))
        if mode == "difference":
            change = (decoded - autoencoder.decode(codes)) @ pca.components[:k]
            keep = (moved == positions).all(1, keepdims=True)
        else:
            change = pca.inverse_transform(w_pca.at[:, :k].set(decoded)) - single
            keep = jnp.zeros((len(w), 1), bool)
        if w.ndim == 3:
            change, keep = change[:, None], keep[:, None]
            if layers is not None:
                keep = keep | ~layers[:, None]
        return jnp.where(keep, w, w + change)


def edit_latents_by_layers(
    pca: PCA,
    quantile_transform: QuantileTransform,
    autoencoder: AxisAutoencoder,
    curves: LayerCurves,
    w: Float[Array, "batch *num_ws w_dim"],
    amounts: Float[Array, "#batch num_attributes"],
    selected: Bool[Array, " num_attributes"],
    layers: Bool[Array, " num_layers"] | None = None,
    *,
    absolute: bool = False,
    units: Units = "std",
) -> Float[Array, "batch num_ws w_dim"]:
    """Move latents along attribute axes, each layer along its own curve.

    Args:
        pca, quantile_transform, autoencoder: as for `edit_latents`.
        curves: of the axes.
        w: latents of W [batch, w_dim] or W+ [batch, num_ws, w_dim].
        amounts, selected, layers, absolute, units: as for `edit_latents`.

    Returns:
        Latents of W+. An edit that moves nothing returns w, repeated over the layers, bit for bit.
    """
    with jax.default_matmul_precision("highest"):
        before = _moved_before(pca, curves, w)
        positions = _codes_in_layers(pca, autoencoder, curves, w, before)[:, : before.shape[1]]
        moved = _moved(quantile_transform, positions, amounts, selected, absolute=absolute, units=units)
        w_plus = w if w.ndim == 3 else jnp.repeat(w[:, None], curves.num_ws, axis=1)
        after = before + curves.saturate(moved) - curves.saturate(positions)
        change = curves.displacement(pca, after) - curves.displacement(pca, before)
        keep = (moved == positions).all(1)[:, None, None]
        if layers is not None:
            keep = keep | ~layers[:, None]
        return jnp.where(keep, w_plus, w_plus + change)


def encode_layers(
    pca: PCA, autoencoder: AxisAutoencoder, curves: LayerCurves, w: Float[Array, "batch *num_ws w_dim"]
) -> Float[Array, "batch k"]:
    """The codes of latents that may be edits along layer curves; see `jaxedit.axes.layer_curves`."""
    return _codes_in_layers(pca, autoencoder, curves, w, _moved_before(pca, curves, w))


def _moved_before(
    pca: PCA, curves: LayerCurves, w: Float[Array, "batch *num_ws w_dim"]
) -> Float[Array, "batch num_attributes"]:
    """How far the axes of latents have been moved by earlier edits: not at all, in W."""
    return curves.estimate_moves(pca, w) if w.ndim == 3 else jnp.zeros((len(w), len(curves.tangents)))


def _codes_in_layers(
    pca: PCA,
    autoencoder: AxisAutoencoder,
    curves: LayerCurves,
    w: Float[Array, "batch *num_ws w_dim"],
    moved: Float[Array, "batch num_attributes"],
) -> Float[Array, "batch k"]:
    """The codes of latents whose axes have been moved this far."""
    unedited = (w - curves.displacement(pca, moved)).mean(1) if w.ndim == 3 else w
    codes = autoencoder.encode(pca.leading(unedited))
    if w.ndim == 2:
        return codes
    num_attributes = moved.shape[1]
    positions = curves.unsaturate(curves.saturate(codes[:, :num_attributes]) + moved)
    return codes.at[:, :num_attributes].set(positions)


def _moved(
    quantile_transform: QuantileTransform,
    positions: Float[Array, "batch num_attributes"],
    amounts: Float[Array, "#batch num_attributes"],
    selected: Bool[Array, " num_attributes"],
    *,
    absolute: bool,
    units: Units,
) -> Float[Array, "batch num_attributes"]:
    """Where the edits lead from these positions."""
    if units == "raw":
        raw = amounts if absolute else quantile_transform.inverse_transform(positions) + amounts
        moved = quantile_transform.transform(jnp.broadcast_to(raw, positions.shape))
    else:
        moved = amounts if absolute else positions + amounts
    # A move by nothing must be nothing, also where raw values are rounded on the way there and back.
    moves = selected if absolute else selected & (amounts != 0)
    return jnp.where(moves, moved, positions)


def dense_amounts(
    edits: Mapping[str, Any], attribute_names: Sequence[str], batch: int
) -> tuple[Float[np.ndarray, "rows num_attributes"], Bool[np.ndarray, " num_attributes"]]:
    """Amounts by name as a dense array of one row (or of `batch` rows, if any amount is an array), and which are given.

    Raises:
        InputError: if a name is unknown, or an amount is neither a finite number nor one for each latent.
    """
    amounts = np.zeros((1, len(attribute_names)), np.float32)
    selected = np.zeros(len(attribute_names), bool)
    for name, amount in edits.items():
        if name not in attribute_names:
            raise InputError(f"edits: unknown attribute '{name}'; known: {', '.join(attribute_names)}")
        values = np.asarray(amount, np.float32)
        if values.ndim > 1 or values.shape not in ((), (batch,)) or not np.isfinite(values).all():
            raise InputError(
                f"amount of '{name}': expected a finite number, or {batch} (one for each latent), got {amount!r}"
            )
        if values.ndim and len(amounts) != batch:
            amounts = np.repeat(amounts, batch, axis=0)
        index = attribute_names.index(name)
        amounts[:, index], selected[index] = values, True
    return amounts, selected


def layer_mask(layers: range | slice | Sequence[int], num_ws: int) -> Bool[np.ndarray, " num_ws"]:
    """Which layers of W+ a range, a slice or a list of indices names.

    Raises:
        InputError: if it names none, or one that does not exist.
    """
    indices = range(num_ws)[layers] if isinstance(layers, slice) else layers
    if not len(indices) or not all(-num_ws <= i < num_ws for i in indices):
        raise InputError(f"layers: expected some of the layers 0…{num_ws - 1}, got {layers!r}")
    mask = np.zeros(num_ws, bool)
    mask[list(indices)] = True
    return mask
