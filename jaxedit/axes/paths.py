"""Paths: how latents move when the code c of the attribute axes moves.

A path reads the code of a latent and moves the latent from one code to another:

    c = positions(w),        w' = move(w, c, c').

`DecoderPath` follows the decoder D in W. With V_k the first k principal directions,

    difference (default):   w' = w + (D(c') − D(c)) V_kᵀ,
    decode (as published):  w' = w + (D(c') − w_pca[:k]) V_kᵀ = μ + D(c') V_kᵀ + tail(w).

The difference keeps all that the autoencoder does not reconstruct. On W+ the code is that of the mean over the
layers: one image has one position on each axis, and every layer moves by the same Δw, which keeps the differences
between the layers. An edit of w repeated over the layers is therefore the edit of w.

`CurvePath` follows the curves of `jaxedit.axes.layer_curves`, which are learned through images: each layer of W+ moves
along its own curve, and latents of W become latents of W+.

`PivotPath` follows another path from the layers' mean of a projected photograph, and leaves the differences between
its layers alone.

Except for "decode", a latent whose code does not move keeps its bits.
"""

import dataclasses
import functools
from typing import Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.axes.autoencoder import AxisAutoencoder
from jaxedit.axes.layer_curves import LayerCurves
from jaxedit.latents.pca import PCA

Mode = Literal["difference", "decode"]


@runtime_checkable
class EditPath(Protocol):
    """How latents move; a pytree."""

    @property
    def num_ws(self) -> int | None:
        """Number of layers of W+ to which latents of W move; None if they stay in W."""

    def positions(self, w: Float[Array, "batch *num_ws w_dim"]) -> Float[Array, "batch k"]:
        """Codes c of latents of W or W+."""

    def move(
        self,
        w: Float[Array, "batch *num_ws w_dim"],
        start: Float[Array, "batch k"],
        end: Float[Array, "batch k"],
    ) -> Float[Array, "batch *layers_out w_dim"]:
        """Latents moved from the codes `start`, which are their positions, to the codes `end`."""


@functools.partial(jax.tree_util.register_dataclass, data_fields=["pca", "autoencoder"], meta_fields=["mode"])
@dataclasses.dataclass(frozen=True)
class DecoderPath:
    """The path in W along the decoder (Lesné et al. 2023); a pytree.

    Attributes:
        pca: of the axes.
        autoencoder: of the axes.
        mode: "difference" or "decode", as in the docstring of the module. Static.
    """

    # Unflattening a pytree puts JAX's own stand-ins into the fields, so their types are not enforced.
    __no_type_check__ = True

    pca: PCA
    autoencoder: AxisAutoencoder
    mode: Mode = "difference"

    @property
    def num_ws(self) -> None:
        """None: latents of W stay in W."""
        return None

    def positions(self, w: Float[Array, "batch *num_ws w_dim"]) -> Float[Array, "batch k"]:
        """Codes of latents; for W+, of the mean over the layers."""
        with jax.default_matmul_precision("highest"):
            return self.autoencoder.encode(self.pca.leading(_layer_mean(w)))

    def move(
        self,
        w: Float[Array, "batch *num_ws w_dim"],
        start: Float[Array, "batch k"],
        end: Float[Array, "batch k"],
    ) -> Float[Array, "batch *num_ws w_dim"]:
        """Latents moved in W, or in all layers of W+ alike."""
        with jax.default_matmul_precision("highest"):
            is_published = self.mode == "decode"
            origin = self.pca.leading(_layer_mean(w)) if is_published else self.autoencoder.decode(start)
            change = (self.autoencoder.decode(end) - origin) @ self.pca.components[: self.pca.num_components]
            change = change[:, None] if w.ndim == 3 else change
            return w + change if is_published else _where_moved(w + change, w, start, end)


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["pca", "autoencoder", "curves"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class CurvePath:
    """The path in W+ along the curve of each layer; a pytree.

    Attributes:
        pca: of the axes.
        autoencoder: of the axes; its encoder reads, the decoder is not used.
        curves: of the axes.
    """

    __no_type_check__ = True

    pca: PCA
    autoencoder: AxisAutoencoder
    curves: LayerCurves

    @property
    def num_ws(self) -> int:
        """Number of layers of W+."""
        return self.curves.num_ws

    def positions(self, w: Float[Array, "batch *num_ws w_dim"]) -> Float[Array, "batch k"]:
        """Codes of latents; for W+, those of the unedited latent with the moves of earlier edits added."""
        with jax.default_matmul_precision("highest"):
            if w.ndim == 2:
                return self.autoencoder.encode(self.pca.leading(w))
            moves = self.curves.estimate_moves(self.pca, w)
            unedited = (w - self.curves.displacement(self.pca, moves)).mean(1)
            codes = self.autoencoder.encode(self.pca.leading(unedited))
            distances = self.curves.saturate(codes[:, : self.curves.num_attributes]) + moves
            return codes.at[:, : self.curves.num_attributes].set(self.curves.unsaturate(distances))

    def move(
        self,
        w: Float[Array, "batch *num_ws w_dim"],
        start: Float[Array, "batch k"],
        end: Float[Array, "batch k"],
    ) -> Float[Array, "batch num_ws w_dim"]:
        """Latents of W+, each layer moved along its curve; the attribute axes alone move."""
        with jax.default_matmul_precision("highest"):
            from_, to = (codes[:, : self.curves.num_attributes] for codes in (start, end))
            moves = self.curves.saturate(to) - self.curves.saturate(from_)
            if w.ndim == 2:
                w = jnp.repeat(w[:, None], self.num_ws, axis=1)
                change = self.curves.displacement(self.pca, moves)
            else:
                before = self.curves.estimate_moves(self.pca, w)
                change = self.curves.displacement(self.pca, before + moves)
                change = change - self.curves.displacement(self.pca, before)
            return _where_moved(w + change, w, start, end)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["path", "pivot"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class PivotPath:
    """Another path, from which the differences between the layers of a pivot are left out; a pytree.

    Attributes:
        path: the other path.
        pivot: latents of W+, one for all or one for each latent.
    """

    __no_type_check__ = True

    path: DecoderPath | CurvePath
    pivot: Float[Array | np.ndarray, "one_or_batch num_ws w_dim"]

    @property
    def num_ws(self) -> int | None:
        """That of the other path."""
        return self.path.num_ws

    def positions(self, w: Float[Array, "batch num_ws w_dim"]) -> Float[Array, "batch k"]:
        """Codes of the latents without the differences of the pivot."""
        return self.path.positions(self._without_differences(w))

    def move(
        self,
        w: Float[Array, "batch num_ws w_dim"],
        start: Float[Array, "batch k"],
        end: Float[Array, "batch k"],
    ) -> Float[Array, "batch num_ws w_dim"]:
        """Latents moved by what the other path moves them without the differences of the pivot."""
        origin = self._without_differences(w)
        # The change is added, so that a latent that does not move keeps its bits.
        return w + (self.path.move(origin, start, end) - origin)

    def _without_differences(self, w: Float[Array, "batch num_ws w_dim"]) -> Array:
        return w - (self.pivot - self.pivot.mean(1, keepdims=True))


def _layer_mean(w: Float[Array, "batch *num_ws w_dim"]) -> Float[Array, "batch w_dim"]:
    return w.mean(1) if w.ndim == 3 else w


def _where_moved(
    moved: Float[Array, "batch *num_ws w_dim"],
    w: Float[Array, "batch *num_ws w_dim"],
    start: Float[Array, "batch k"],
    end: Float[Array, "batch k"],
) -> Float[Array, "batch *num_ws w_dim"]:
    """The moved latents; the same bits for those whose code does not move."""
    stays = (start == end).all(1).reshape(-1, *[1] * (w.ndim - 1))
    return jnp.where(stays, w, moved)
