"""What the competitors share: the labels that they learn from, probes, and the size of a direction's unit."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.axes import PCA, AxesConfig, fit_pca
from jaxedit.axes.learning.learn import _split
from jaxedit.axes.report import fit_probes
from jaxedit.errors import InputError
from jaxedit.evaluation.config import LEAKAGE_ATTRIBUTES
from jaxedit.labels.dataset import LabelledLatents

LONGEST = 10.0
"""Length in w of the longest direction: about the distance of a typical latent from the mean."""


@dataclasses.dataclass(frozen=True)
class TrainingSplit:
    """What every method learns from: the same latents and labels as `learn_axes` with the same configuration.

    Attributes:
        dataset: all of it, with raw values, for methods that split it themselves.
        pca: of all latents, which takes no labels.
        w: latents of the training split.
        labels: their attributes, quantile-transformed, at most 4 standard deviations.
        held_out_w: latents of the held-out split.
        held_out_labels: their attributes, by the quantile transform of the training split.
        probes: ridge regressions from w to the labels, fitted on the training split.
    """

    dataset: LabelledLatents
    pca: PCA
    w: Float[Array, "num_training w_dim"]
    labels: Float[Array, "num_training num_attributes"]
    held_out_w: Float[Array, "num_held_out w_dim"]
    held_out_labels: Float[Array, "num_held_out num_attributes"]
    probes: Float[Array, "w_dim num_attributes"]

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of the labels' columns."""
        return tuple(self.dataset.attribute_names)

    def columns(self, names: Sequence[str]) -> list[int]:
        """Where the attributes of these names are.

        Raises:
            InputError: if there are no names, one is unknown, or one comes twice.
        """
        unknown = [name for name in names if name not in self.attribute_names]
        if not names or unknown or len(set(names)) < len(names):
            raise InputError(
                f"attribute names: expected one or more of {', '.join(self.attribute_names)}, each once, "
                f"got {', '.join(names) or 'none'}"
            )
        return [self.attribute_names.index(name) for name in names]

    def leakage_attributes(self) -> tuple[str, ...]:
        """The attributes whose change evaluation counts as leakage, and which methods that decorrelate keep apart:
        those of the dataset, or all of its attributes if it has none of them."""
        names = tuple(name for name in LEAKAGE_ATTRIBUTES if name in self.attribute_names)
        return names or self.attribute_names


def prepare(
    dataset: LabelledLatents, *, num_components: int = 200, config: AxesConfig | None = None
) -> TrainingSplit:
    """The split of `learn_axes`, quantile-transformed, with PCA and probes.

    Args:
        dataset: labelled latents.
        num_components: k of the PCA.
        config: whose `held_out_fraction` and `split_seed` are used; by default `AxesConfig()`.

    Raises:
        InputError: if dataset and settings do not fit together, as `learn_axes`.
    """
    pca = fit_pca(dataset.w, num_components)
    split = _split(dataset, pca, AxesConfig() if config is None else config)
    probes = fit_probes(split.w_pca, split.data.labels, pca.explained_variance)
    with jax.default_matmul_precision("highest"):
        return TrainingSplit(
            dataset=dataset,
            pca=pca,
            w=pca.inverse_transform(split.w_pca),
            labels=split.data.labels,
            held_out_w=pca.inverse_transform(split.held_out_w_pca),
            held_out_labels=split.data.held_out_labels,
            probes=pca.components.T @ probes,
        )


def scaled(
    directions: Float[Array, "num_attributes w_dim"],
    probes: Float[Array, "w_dim num_attributes"],
    *,
    shortest: float = 0.0,
    longest: float = LONGEST,
) -> Float[Array, "num_attributes w_dim"]:
    """Directions of which one unit is a useful edit: d · sign(pᵀd) · clip(1 / |pᵀd|, shortest / ‖d‖, longest / ‖d‖).

    One unit changes the probe p of the attribute itself by +1 standard deviation, unless that takes less than
    `shortest` or more than `longest` in w. A direction of no length stays one.
    """
    effects = jnp.einsum("ad,da->a", directions, probes, precision=jax.lax.Precision.HIGHEST)
    lengths = jnp.linalg.norm(directions, axis=1)
    tiny = jnp.finfo(directions.dtype).tiny
    per_unit = 1 / jnp.maximum(lengths, tiny)
    sizes = jnp.clip(1 / jnp.maximum(jnp.abs(effects), tiny), shortest * per_unit, longest * per_unit)
    return directions * (jnp.where(effects < 0, -1.0, 1.0) * jnp.where(lengths > 0, sizes, 0.0))[:, None]


def in_layers(
    directions: Float[Array | np.ndarray, "num_attributes w_dim"],
    names: Sequence[str],
    layers: Mapping[str, range],
    num_ws: int,
) -> Float[Array, "num_attributes num_ws w_dim"]:
    """Directions of W+ that are zero outside each attribute's layers; without an entry, all layers move.

    Raises:
        InputError: if a range is empty or reaches beyond the layers.
    """
    bad = {name: own for name, own in layers.items() if not own or min(own) < 0 or max(own) >= num_ws}
    if bad:
        raise InputError(f"layers: expected ranges within 0…{num_ws - 1}, got {bad}")
    mask = np.array([[i in layers.get(name, range(num_ws)) for i in range(num_ws)] for name in names])
    return jnp.asarray(directions)[:, None, :] * jnp.asarray(mask, jnp.float32)[:, :, None]


def largest_correlation(
    coordinates: Float[Array, "num_samples num_coordinates"],
    labels: Float[Array, "num_samples num_attributes"],
) -> tuple[Array, Array]:
    """For each attribute the coordinate of largest |Pearson correlation| with its label, and that correlation.

    Returns:
        Indices and signed correlations, [num_attributes] each.
    """

    def standardized(x: Array) -> Array:
        x = x - x.mean(0)
        norm = jnp.linalg.norm(x, axis=0)
        return x / jnp.where(norm > 0, norm, 1.0)

    correlations = jnp.matmul(
        standardized(labels).T, standardized(coordinates), precision=jax.lax.Precision.HIGHEST
    )
    best = jnp.argmax(jnp.abs(correlations), axis=1)
    return best, jnp.take_along_axis(correlations, best[:, None], axis=1)[:, 0]
