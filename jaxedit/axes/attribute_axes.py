"""Learned attribute axes: the object that users hold."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.axes.autoencoder import AxisAutoencoder
from jaxedit.axes.checkpoint import from_checkpoint, to_checkpoint
from jaxedit.axes.config import AxesConfig
from jaxedit.axes.editing import Edit, Layers, Units, apply_edit, check_raw_amounts
from jaxedit.axes.layer_curves import LayerCurves
from jaxedit.axes.paths import CurvePath, DecoderPath, EditPath, Mode, PivotPath
from jaxedit.axes.report import AxesReport
from jaxedit.errors import CheckpointError, InputError
from jaxedit.generators.protocol import Generator, weights_fingerprint
from jaxedit.labels.quantile_transform import QuantileTransform
from jaxedit.latents.pca import PCA
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["pca", "quantile_transform", "autoencoder", "report", "history", "curves", "ranges"],
    meta_fields=["attribute_names", "attribute_units", "config", "generator_fingerprint"],
)
@dataclasses.dataclass(frozen=True)
class AttributeAxes:
    """The axes of a latent space, of which the first are attributes; a pytree.

    Attributes:
        attribute_names: names of the first axes.
        attribute_units: unit of each attribute's raw values.
        pca: PCA of W; its first k coordinates go through the axes.
        quantile_transform: between positions on the attribute axes and raw values.
        autoencoder: between w_pca[:k] and c.
        config: settings with which the axes were learned.
        report: held-out metrics.
        history: training curves: "total", "reconstruction", "attribute" and "decorrelation" [num_steps] on the
            batches; "held_out_step", "held_out_axis_label_correlation", "held_out_code_correlation" and
            "held_out_reconstruction" [num_chunks] between chunks.
        curves: of each layer of W+, for axes refined through images; None for axes that move all layers alike.
        ranges: usable amounts of each axis in standard deviations, (down, up), NaN where they were not measured; None
            if none was (see `range`).
        generator_fingerprint: `weights_fingerprint` of the generator on whose latents they were learned; None if that
            is unknown.
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
    generator_fingerprint: str | None = None
    ranges: Float[np.ndarray, "num_attributes 2"] | None = None

    @property
    def num_attributes(self) -> int:
        """Number of axes that are attributes."""
        return len(self.attribute_names)

    def range(self, attribute: str) -> tuple[float, float] | None:
        """The amounts between which an axis is usable, in standard deviations; None if they were not measured.

        Larger amounts are allowed. Beyond, the attribute hardly changes further, or the person, the background or the
        soundness of the image goes (`jaxedit.evaluation.ranges`).

        Raises:
            InputError: if the attribute is unknown.

        Examples:
            >>> import jaxedit
            >>> down, up = jaxedit.load_axes("mobile-stylegan-ffhq").range("smile")
            >>> down < 0 < up
            True
        """
        if attribute not in self.attribute_names:
            raise InputError(f"attribute {attribute!r}: expected one of {', '.join(self.attribute_names)}")
        if self.ranges is None:
            return None
        down, up = (float(x) for x in np.asarray(self.ranges)[self.attribute_names.index(attribute)])
        return None if np.isnan(down) or np.isnan(up) else (down, up)

    def fingerprint(self) -> str:
        """Of all that edits along the axes depend on (see `weights_fingerprint`)."""
        return weights_fingerprint((self.pca, self.quantile_transform, self.autoencoder, self.curves))

    def check_generator(self, generator: Generator, *, name: str = "axes") -> None:
        """Refuse a generator with which these axes do not belong.

        Axes without a fingerprint fit every generator of their shape. A distilled or fine-tuned generator may share its
        W with the one of the axes: `load_axes(…, check=False)` gives axes for it.

        Args:
            generator: makes images of the latents.
            name: of the axes, for the error.

        Raises:
            InputError: if the width of W, the number of layers of the curves, or the fingerprint differs.
        """
        self.check_shape(generator, name=name)
        own = self.generator_fingerprint
        if own is not None and own != (found := weights_fingerprint(generator)):
            raise InputError(
                f"{name}: expected axes of this generator (weights {found[:8]}), got axes of another generator or "
                f"class (weights {own[:8]}), whose edits would do something else. `jaxedit label` and `jaxedit learn` "
                "make axes of this one; --force (check=False) takes these, for a generator that shares their W"
            )

    def check_shape(self, generator: Generator, *, name: str = "axes") -> None:
        """Refuse a generator of another shape; its weights may be any.

        Args:
            generator: makes images of the latents.
            name: of the axes, for the error.

        Raises:
            InputError: if the width of W or the number of layers of the curves differs.
        """
        if self.pca.w_dim != generator.w_dim:
            raise InputError(
                f"{name}: expected axes of latents of width {generator.w_dim}, as the generator's, got {self.pca.w_dim}"
            )
        if self.curves is not None and self.curves.num_ws != generator.num_ws:
            raise InputError(
                f"{name}: expected curves of {generator.num_ws} layers, as the generator's, got {self.curves.num_ws}"
            )

    def path(
        self, space: Literal["w", "w_plus"] | None = None, mode: Mode = "difference"
    ) -> DecoderPath | CurvePath:
        """The path along which latents move (`jaxedit.axes.paths`); a pytree.

        Args:
            space: "w_plus": along the curve of each layer; "w": all layers alike. By default "w_plus" if the axes have
                `curves` and the mode is "difference".
            mode: "difference" or "decode".

        Raises:
            InputError: if the space or the mode is unknown, or the axes have no curves for "w_plus".
        """
        if mode not in ("difference", "decode"):
            raise InputError(f"mode: expected 'difference' or 'decode', got {mode!r}")
        if space not in (None, "w", "w_plus"):
            raise InputError(f"space: expected 'w', 'w_plus' or None, got {space!r}")
        has_curves = self.curves is not None and mode == "difference"
        if space == "w_plus" and not has_curves:
            reason = (
                "these axes have no layer curves"
                if self.curves is None
                else "mode 'decode' has no layer curves"
            )
            raise InputError(f"space: expected 'w': {reason}, got 'w_plus'")
        if self.curves is None or not has_curves or space == "w":
            return DecoderPath(self.pca, self.autoencoder, mode)
        return CurvePath(self.pca, self.autoencoder, self.curves)

    def encode(self, w: Float[Array | np.ndarray, "batch *num_ws w_dim"]) -> Float[Array, "batch k"]:
        """Codes c of latents of W or W+.

        A latent of W+ has the code of the mean over its layers. Where axes have `curves`, the differences between the
        layers are taken for earlier edits: the code is that of the unedited latent, with these edits added.

        Args:
            w: latents of W [batch, w_dim] or W+ [batch, num_ws, w_dim], float32.

        Raises:
            InputError: if the shape or the width does not fit, or a latent is NaN or infinite.
        """
        return _checked_result(_encode, self.path(), self._checked(w))

    def decode(
        self, c: Float[Array | np.ndarray, "batch k"], tail: Float[Array | np.ndarray, "batch tail"]
    ) -> Float[Array, "batch w_dim"]:
        """Latents of codes.

        Args:
            c: codes.
            tail: the PCA coordinates that do not go through the axes, `pca.transform(w)[:, k:]`.

        Raises:
            InputError: if the shapes do not fit, or a code is NaN or infinite.
        """
        k = self.pca.num_components
        if c.ndim != 2 or c.shape[1] != k or tail.shape != (len(c), self.pca.w_dim - k):
            raise InputError(
                f"c and tail: expected [batch, {k}] and [batch, {self.pca.w_dim - k}], got {c.shape} and {tail.shape}"
            )
        return _checked_result(_decode, self.pca, self.autoencoder, jnp.asarray(tail), jnp.asarray(c))

    def read(
        self,
        w: Float[Array | np.ndarray, "batch *num_ws w_dim"],
        *,
        pivot: Float[Array | np.ndarray, "one_or_batch layers w_dim"] | None = None,
    ) -> Float[Array, "batch num_attributes"]:
        """Positions of latents on the attribute axes, in the unit of each attribute.

        Args:
            w: latents of W [batch, w_dim] or W+ [batch, num_ws, w_dim], float32.
            pivot: as for `edit`.

        Raises:
            InputError: as `encode`, and if the pivot does not fit.

        Examples:
            >>> import jax, jaxedit
            >>> w = jax.random.normal(jax.random.key(0), (400, 8))
            >>> dataset = jaxedit.LabelledLatents(w, 170 + 7 * w[:, :1], ("height",), ("cm",))
            >>> config = jaxedit.AxesConfig(num_steps=50, hidden_width=16)
            >>> axes = jaxedit.learn_axes(dataset, jaxedit.fit_pca(w, 4), config, progress=False)
            >>> raw = axes.read(w[:2])  # in "cm"
            >>> raw.shape
            (2, 1)
        """
        w = self._checked(w)
        path = self._from_pivot(self.path(), pivot, w)
        return _checked_result(_read, path, self.quantile_transform, w)

    def edit(
        self,
        w: Float[Array | np.ndarray, "batch *num_ws w_dim"],
        edits: Mapping[str, Any],
        *,
        absolute: bool = False,
        units: Units = "std",
        layers: Layers | None = None,
        mode: Mode = "difference",
        space: Literal["w", "w_plus"] | None = None,
        pivot: Float[Array | np.ndarray, "one_or_batch layers w_dim"] | None = None,
    ) -> Float[Array, "batch *layers_out w_dim"]:
        """Move latents along attribute axes; `jaxedit.axes.paths` has the mathematics.

        Args:
            w: latents of W [batch, w_dim] or W+ [batch, num_ws, w_dim], float32.
            edits: amount of each attribute to edit: a number, or an array of one for each latent.
            absolute: whether amounts are positions on the axis instead of moves along it.
            units: of the amounts: "std" for standard deviations, "raw" for the attribute's own unit.
            layers: for W+, the layers to change: a range, a slice or indices. None for all.
            mode: "difference" keeps all that the autoencoder does not reconstruct; "decode" is as published.
            space: "w_plus" moves each layer along its own curve, "w" all layers alike. By default "w_plus" if the axes
                have `curves` and the mode is "difference".
            pivot: for W+, the projected latents, of which `w` are edits (or which `w` is): the differences between
                their layers belong to the photograph. Without it these differences are taken for earlier edits, and
                where they look like large edits, the curves go on from far out.

        Returns:
            Edited latents. In space "w" of the same shape, in space "w_plus" always [batch, num_ws, w_dim]. An empty
            edit by difference returns the same bits (repeated over the layers, where W becomes W+).

        Raises:
            InputError: if an attribute is unknown, an amount is not finite, a shape or the width does not fit, a
                layer does not exist, or a latent is NaN or infinite (the last not under `jax.jit`).

        Examples:
            >>> import jax, jaxedit
            >>> w = jax.random.normal(jax.random.key(0), (400, 8))
            >>> dataset = jaxedit.LabelledLatents(w, 170 + 7 * w[:, :1], ("height",), ("cm",))
            >>> config = jaxedit.AxesConfig(num_steps=50, hidden_width=16)
            >>> axes = jaxedit.learn_axes(dataset, jaxedit.fit_pca(w, 4), config, progress=False)
            >>> taller = axes.edit(w[:2], {"height": 1.0})
            >>> bool((axes.read(taller) > axes.read(w[:2])).all())
            True
            >>> exact = axes.edit(w[:2], {})
            >>> bool((exact == w[:2]).all())
            True
        """
        w = self._checked(w)
        path = self._from_pivot(self.path(space, mode), pivot, w)
        num_ws = w.shape[1] if w.ndim == 3 else path.num_ws
        if units == "raw":
            check_raw_amounts(edits, self.attribute_names, self.quantile_transform)
        edit = Edit.of(
            edits,
            self.attribute_names,
            batch=len(w),
            absolute=absolute,
            units=units,
            layers=layers,
            num_ws=num_ws,
        )
        return _checked_result(_edit, path, self.quantile_transform, edit, w)

    def save(self, folder: str | Path) -> Path:
        """Write a checkpoint folder of kind "axes".

        Raises:
            OutputError: if it cannot be written.
        """
        config, arrays = to_checkpoint(self)
        return save_checkpoint(folder, kind="axes", config=config, arrays=arrays)

    @classmethod
    def load(cls, folder: str | Path) -> "AttributeAxes":
        """Read a folder written by `save`, also of earlier versions.

        Raises:
            CheckpointError: if the folder is missing, damaged, or of another kind.
        """
        config, arrays = load_checkpoint(folder, kind="axes")
        try:
            return cls(**from_checkpoint(config, arrays))
        except CheckpointError as error:
            raise CheckpointError(f"{folder}: {error}") from error

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

    def _from_pivot(
        self, path: DecoderPath | CurvePath, pivot: Array | np.ndarray | None, w: Array | np.ndarray
    ) -> DecoderPath | CurvePath | PivotPath:
        if pivot is None:
            return path
        if w.ndim != 3:
            raise InputError(
                f"pivot: expected with latents of W+ [batch, num_ws, w_dim], got w of shape {w.shape}"
            )
        if pivot.ndim != 3 or pivot.shape[1:] != w.shape[1:] or pivot.shape[0] not in (1, len(w)):
            raise InputError(f"pivot: expected the shape of w, {w.shape}, or one latent, got {pivot.shape}")
        if not isinstance(pivot, jax.core.Tracer) and not np.isfinite(np.asarray(pivot)).all():
            raise InputError("pivot: expected finite numbers, got NaN or infinity")
        return PivotPath(path, pivot)


def _compiled(function: Callable[..., Array]) -> Callable[..., tuple[Array, Array]]:
    """The function under `jax.jit`, with whether the numbers of its last argument were finite."""

    def checked(*arguments: Any) -> tuple[Array, Array]:
        return function(*arguments), jnp.isfinite(arguments[-1]).all()

    return jax.jit(checked)


@_compiled
def _encode(path: EditPath, w: Array) -> Array:
    return path.positions(w)


@_compiled
def _read(path: EditPath, quantile_transform: QuantileTransform, w: Array) -> Array:
    codes = path.positions(w)
    return quantile_transform.inverse_transform(codes[:, : len(quantile_transform.values)])


@_compiled
def _decode(pca: PCA, autoencoder: AxisAutoencoder, tail: Array, c: Array) -> Array:
    with jax.default_matmul_precision("highest"):
        return pca.inverse_transform(jnp.concatenate([autoencoder.decode(c), tail], axis=1))


_edit = _compiled(apply_edit)


def _checked_result(function: Callable[..., tuple[Array, Array]], *arguments: Any) -> Array:
    """The result of a compiled function.

    Raises:
        InputError: if its last argument was not finite.
    """
    result, is_finite = function(*arguments)
    if not isinstance(is_finite, jax.core.Tracer) and not is_finite:
        latents = np.asarray(arguments[-1])
        bad = int((~np.isfinite(latents)).reshape(len(latents), -1).any(axis=1).sum())
        raise InputError(
            f"latents: expected finite numbers, got NaN or infinity in {bad} of {len(latents)} latents"
        )
    return result
