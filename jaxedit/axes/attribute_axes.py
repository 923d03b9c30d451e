"""Learnt attribute axes: the object that users hold."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

# As a module and not by name: `jaxedit.axes.editing` stands above this package and imports other files of it.
from jaxedit.axes import editing
from jaxedit.axes.autoencoder import AxisAutoencoder
from jaxedit.axes.config import AxesConfig
from jaxedit.axes.layer_curves import FORMER_FIELDS, LayerCurves
from jaxedit.axes.report import AxesReport
from jaxedit.errors import CheckpointError, InputError
from jaxedit.labels.quantile_transform import QuantileTransform
from jaxedit.latents.pca import PCA
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["pca", "quantile_transform", "autoencoder", "report", "history", "curves"],
    meta_fields=["attribute_names", "attribute_units", "config"],
)
@dataclasses.dataclass(frozen=True)
class AttributeAxes:
    """Axes of which the first are attributes, in the order of their names; a pytree.

    Attributes:
        attribute_names: names of the first axes.
        attribute_units: unit of each attribute's raw values.
        pca: PCA of W; its first k coordinates go through the axes.
        quantile_transform: between positions on the attribute axes and raw values.
        autoencoder: between w_pca[:k] and c.
        config: with which the axes were learnt.
        report: held-out metrics.
        history: training curves: "total", "reconstruction", "attribute" and "decorrelation" [num_steps] on the
            batches; "held_out_step", "held_out_axis_label_correlation", "held_out_code_correlation" and
            "held_out_reconstruction" [num_chunks] between chunks.
        curves: of each layer of W+, for axes refined through images; None for axes that move all layers alike.
    """

    # Unflattening a pytree puts JAX's own stand-ins into the fields, so their types are not enforced.
    __no_type_check__ = True

    attribute_names: tuple[str, ...]
    attribute_units: tuple[str, ...]
    pca: PCA
    quantile_transform: QuantileTransform
    autoencoder: AxisAutoencoder
    config: AxesConfig
    report: AxesReport
    history: dict[str, Array | np.ndarray]
    curves: LayerCurves | None = None

    @property
    def num_attributes(self) -> int:
        """How many of the axes are attributes."""
        return len(self.attribute_names)

    def encode(self, w: Float[Array | np.ndarray, "batch *num_ws w_dim"]) -> Float[Array, "batch k"]:
        """Codes c of latents of W or W+.

        A latent of W+ has the code of the mean over its layers; where axes have `curves`, of the mean that is left when
        what the layers differ by is taken for edits, with those added again.

        Raises:
            InputError: if the shape or the width does not fit, or a latent is NaN or infinite.
        """
        return self._call(_encode, self._checked(w))

    def decode(
        self, c: Float[Array | np.ndarray, "batch k"], tail: Float[Array | np.ndarray, "batch tail"]
    ) -> Float[Array, "batch w_dim"]:
        """Latents of codes.

        Args:
            c: codes.
            tail: the PCA coordinates that do not go through the axes, `pca.transform(w)[:, k:]`.

        Raises:
            InputError: if the shapes do not fit.
        """
        k = self.pca.num_components
        if c.ndim != 2 or c.shape[1] != k or tail.shape != (len(c), self.pca.w_dim - k):
            raise InputError(
                f"c and tail: expected [batch, {k}] and [batch, {self.pca.w_dim - k}], got {c.shape} and {tail.shape}"
            )
        return self._call(_decode, jnp.asarray(c), jnp.asarray(tail))

    def read(
        self,
        w: Float[Array | np.ndarray, "batch *num_ws w_dim"],
        *,
        pivot: Float[Array | np.ndarray, "one_or_batch layers w_dim"] | None = None,
    ) -> Float[Array, "batch num_attributes"]:
        """Where latents lie on the attribute axes, in each attribute's own unit.

        Args:
            w: latents of W or W+.
            pivot: as for `edit`.

        Raises:
            InputError: as `encode`, and if the pivot does not fit.
        """
        w = self._checked(w)
        return self._call(_read, w, self._checked_pivot(pivot, w))

    def edit(
        self,
        w: Float[Array | np.ndarray, "batch *num_ws w_dim"],
        edits: Mapping[str, Any],
        *,
        absolute: bool = False,
        units: Literal["std", "raw"] = "std",
        layers: range | slice | Sequence[int] | None = None,
        mode: Literal["difference", "decode"] = "difference",
        space: Literal["w", "w_plus"] | None = None,
        pivot: Float[Array | np.ndarray, "one_or_batch layers w_dim"] | None = None,
    ) -> Float[Array, "batch *layers_out w_dim"]:
        """Move latents along attribute axes; the mathematics stands in `jaxedit.axes.editing`.

        Args:
            w: latents of W [batch, w_dim] or W+ [batch, num_ws, w_dim].
            edits: amount of each attribute to edit, a number or an array of one for each latent.
            absolute: whether amounts are positions on the axis instead of moves along it.
            units: of the amounts: "std" for standard deviations, "raw" for the attribute's own unit.
            layers: for W+, the layers to change: a range, a slice or indices. None for all.
            mode: "difference", which keeps all that the autoencoder does not reconstruct, or "decode", as published.
            space: "w_plus" moves each layer along its own curve, "w" all alike. By default "w_plus" if the axes have
                `curves` and the mode is "difference".
            pivot: for W+, what a projection found, of which `w` are edits, or which `w` is: what its layers differ by
                belongs to the image. Without it, that is taken for earlier edits, and where it looks like large ones
                the curves of the axes go on from far out.

        Returns:
            Edited latents. In space "w" of the same shape, in space "w_plus" always [batch, num_ws, w_dim]. An empty
            edit by difference returns the same bits (repeated over the layers, where W becomes W+).

        Raises:
            InputError: if an attribute is unknown, an amount is not finite, a shape or the width does not fit, a
                layer does not exist, or a latent is NaN or infinite (the last not under `jax.jit`).
        """
        if units not in ("std", "raw"):
            raise InputError(f"units: expected 'std' or 'raw', got {units!r}")
        if mode not in ("difference", "decode"):
            raise InputError(f"mode: expected 'difference' or 'decode', got {mode!r}")
        w = self._checked(w)
        by_layers = self._by_layers(space, mode)
        mask = None
        if layers is not None:
            if w.ndim != 3 and not by_layers:
                raise InputError(
                    f"layers: expected latents of W+ [batch, num_ws, w_dim], got w of shape {w.shape}"
                )
            mask = editing.layer_mask(layers, w.shape[1] if w.ndim == 3 else self._num_ws)
        amounts, selected = editing.dense_amounts(edits, self.attribute_names, len(w))
        pivot = self._checked_pivot(pivot, w)
        static = (bool(absolute), units, mode, by_layers)
        return self._call(_edit, w, amounts, selected, mask, pivot, static=static)

    def _by_layers(self, space: str | None, mode: str) -> bool:
        """Whether an edit moves each layer along its own curve."""
        if space not in (None, "w", "w_plus"):
            raise InputError(f"space: expected 'w', 'w_plus' or None, got {space!r}")
        if space is None:
            return self.curves is not None and mode == "difference"
        if space == "w_plus" and (self.curves is None or mode != "difference"):
            raise InputError(
                "space: expected 'w': "
                + (
                    "these axes have no layer curves"
                    if self.curves is None
                    else "mode 'decode' has no layer curves"
                )
                + ", got 'w_plus'"
            )
        return space == "w_plus"

    @property
    def _num_ws(self) -> int:
        assert self.curves is not None
        return self.curves.num_ws

    def save(self, folder: str | Path) -> Path:
        """Write a checkpoint folder of kind "axes"."""
        config = {
            "attribute_names": list(self.attribute_names),
            "attribute_units": list(self.attribute_units),
            "num_components": self.pca.num_components,
            "config": dataclasses.asdict(self.config),
            "layer_curves": self.curves is not None,
        }
        arrays = {
            "pca": {n: getattr(self.pca, n) for n in ("mean", "components", "explained_variance")},
            "quantile_transform": {
                n: getattr(self.quantile_transform, n) for n in ("values", "positions", "slopes")
            },
            "autoencoder": named_leaves(self.autoencoder),
            "report": {f.name: getattr(self.report, f.name) for f in dataclasses.fields(self.report)},
            "history": dict(self.history),
        }
        if self.curves is not None:
            arrays["curves"] = {
                n: getattr(self.curves, n)
                for n in ("tangents", "curvatures", "ends", "slopes", "group_of_layer")
            }
        return save_checkpoint(folder, kind="axes", config=config, arrays=arrays)

    @classmethod
    def load(cls, folder: str | Path) -> "AttributeAxes":
        """Read a folder written by `save`.

        Raises:
            CheckpointError: if the folder is missing, damaged, or of another kind.
        """
        meta, arrays = load_checkpoint(folder, kind="axes")
        try:
            config, k = AxesConfig(**meta["config"]), meta["num_components"]
            abstract = nnx.eval_shape(lambda: AxisAutoencoder(k, config, rngs=nnx.Rngs(0)))
            return cls(
                attribute_names=tuple(meta["attribute_names"]),
                attribute_units=tuple(meta["attribute_units"]),
                pca=PCA(**jax.tree.map(jnp.asarray, arrays["pca"]), num_components=k),
                quantile_transform=QuantileTransform(
                    **jax.tree.map(jnp.asarray, arrays.get("quantile_transform") or arrays["gaussianiser"])
                ),
                autoencoder=from_named_leaves(abstract, arrays["autoencoder"]),
                config=config,
                report=AxesReport(**arrays["report"]),
                history=arrays["history"],
                curves=_curves_of(meta, arrays),
            )
        except (KeyError, TypeError, InputError) as error:
            raise CheckpointError(f"{folder}: does not fit this version's axes: {error}") from error

    def _checked(self, w: Array | np.ndarray) -> Array | np.ndarray:
        if w.ndim not in (2, 3) or w.shape[-1] != self.pca.w_dim:
            raise InputError(
                f"w: expected [batch, {self.pca.w_dim}] or [batch, num_ws, {self.pca.w_dim}], got shape {w.shape}"
            )
        if self.curves is not None and w.ndim == 3 and w.shape[1] != self.curves.num_ws:
            raise InputError(
                f"w: expected {self.curves.num_ws} layers of W+, as the axes' curves, got shape {w.shape}"
            )
        return w

    def _checked_pivot(
        self, pivot: Array | np.ndarray | None, w: Array | np.ndarray
    ) -> Array | np.ndarray | None:
        if pivot is None:
            return None
        if w.ndim != 3:
            raise InputError(
                f"pivot: expected with latents of W+ [batch, num_ws, w_dim], got w of shape {w.shape}"
            )
        if pivot.ndim != 3 or pivot.shape[1:] != w.shape[1:] or pivot.shape[0] not in (1, len(w)):
            raise InputError(f"pivot: expected the shape of w, {w.shape}, or one latent, got {pivot.shape}")
        if not isinstance(pivot, jax.core.Tracer) and not np.isfinite(np.asarray(pivot)).all():
            raise InputError("pivot: expected finite numbers, got NaN or infinity")
        return pivot

    def _call(self, function: Any, *arrays: Any, static: tuple[Any, ...] = ()) -> Array:
        structure, leaves = self._parts
        result, finite = function(structure, static, leaves, *arrays)
        if not isinstance(finite, jax.core.Tracer) and not finite:
            bad = int((~np.isfinite(np.asarray(arrays[0]))).reshape(len(arrays[0]), -1).any(axis=1).sum())
            raise InputError(
                f"latents: expected finite numbers, got NaN or infinity in {bad} of {len(arrays[0])} latents"
            )
        return result

    @functools.cached_property
    def _parts(self) -> "tuple[_Structure, list[Array]]":
        """What a call passes to the compiled functions. Flattening an NNX module takes longer than an edit."""
        leaves, structure = jax.tree.flatten(
            (self.pca, self.quantile_transform, self.autoencoder, self.curves)
        )
        return _Structure(structure), leaves


class _Structure:
    """A tree structure with its hash kept, so that finding the compiled program takes no time."""

    def __init__(self, structure: Any) -> None:
        self.structure = structure
        self._hash = hash(structure)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, _Structure) and self.structure == other.structure)

    def parts(
        self, leaves: list[Array]
    ) -> tuple[PCA, QuantileTransform, AxisAutoencoder, LayerCurves | None]:
        return jax.tree.unflatten(self.structure, leaves)


_compiled = functools.partial(jax.jit, static_argnums=(0, 1))


@_compiled
def _edit(
    structure: _Structure,
    static: tuple[Any, ...],
    leaves: list[Array],
    w: Array,
    amounts: Array,
    selected: Array,
    layers: Array | None,
    pivot: Array | None,
) -> tuple[Array, Array]:
    absolute, units, mode, by_layers = static
    given, w = w, _without_own(w, pivot)
    pca, quantile_transform, autoencoder, curves = structure.parts(leaves)
    if by_layers:
        assert curves is not None
        edited = editing.edit_latents_by_layers(
            pca,
            quantile_transform,
            autoencoder,
            curves,
            w,
            amounts,
            selected,
            layers,
            absolute=absolute,
            units=units,
        )
    else:
        edited = editing.edit_latents(
            pca,
            quantile_transform,
            autoencoder,
            w,
            amounts,
            selected,
            layers,
            absolute=absolute,
            units=units,
            mode=mode,
        )
    # The difference, so that an edit by nothing returns the same bits.
    return edited if pivot is None else given + (edited - w), jnp.isfinite(w).all()


def _without_own(w: Array, pivot: Array | None) -> Array:
    """Latents without what the layers of the pivot differ by."""
    return w if pivot is None else w - (pivot - pivot.mean(1, keepdims=True))


@_compiled
def _encode(
    structure: _Structure, static: tuple[Any, ...], leaves: list[Array], w: Array
) -> tuple[Array, Array]:
    pca, _, autoencoder, curves = structure.parts(leaves)
    with jax.default_matmul_precision("highest"):
        if curves is not None:
            return editing.encode_layers(pca, autoencoder, curves, w), jnp.isfinite(w).all()
        single = w.mean(1) if w.ndim == 3 else w
        return autoencoder.encode(pca.leading(single)), jnp.isfinite(w).all()


@_compiled
def _decode(
    structure: _Structure, static: tuple[Any, ...], leaves: list[Array], c: Array, tail: Array
) -> tuple[Array, Array]:
    pca, _, autoencoder, _ = structure.parts(leaves)
    with jax.default_matmul_precision("highest"):
        w = pca.inverse_transform(jnp.concatenate([autoencoder.decode(c), tail], axis=1))
    return w, jnp.isfinite(c).all()


@_compiled
def _read(
    structure: _Structure, static: tuple[Any, ...], leaves: list[Array], w: Array, pivot: Array | None
) -> tuple[Array, Array]:
    quantile_transform = structure.parts(leaves)[1]
    codes, finite = _encode(structure, static, leaves, _without_own(w, pivot))
    return quantile_transform.inverse_transform(codes[:, : len(quantile_transform.values)]), finite


def _curves_of(meta: dict[str, Any], arrays: dict[str, Any]) -> LayerCurves | None:
    """The curves of a checkpoint, also under the names of earlier versions."""
    if not (meta.get("layer_curves") or meta.get("layer_steps")):
        return None
    found = arrays.get("curves") or arrays["steps"]
    fields = [field.name for field in dataclasses.fields(LayerCurves)]
    return LayerCurves(*(jnp.asarray(found.get(n, found.get(FORMER_FIELDS.get(n)))) for n in fields))


def named_leaves(tree: Any) -> dict[str, Array]:
    """The arrays of a pytree by their path, as a flat dict."""
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def from_named_leaves(tree: Any, leaves: Mapping[str, Any]) -> Any:
    """The pytree with the arrays of `named_leaves`.

    Raises:
        CheckpointError: if an array is missing or of another shape.
    """

    def take(path: Any, old: Any) -> Array:
        name = _name(path)
        if name not in leaves or leaves[name].shape != old.shape:
            found = f"of shape {leaves[name].shape}" if name in leaves else "missing"
            raise CheckpointError(f"array {name}: expected shape {old.shape}, it is {found}")
        return jnp.asarray(leaves[name])

    return jax.tree_util.tree_map_with_path(take, tree)


def _name(path: Any) -> str:
    return "".join(c if c.isalnum() else "_" for c in jax.tree_util.keystr(path)).strip("_")
