"""Shared by the baselines: training data, linear probes, and the scale of directions."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.axes import PCA, AxesConfig, fit_pca
from jaxedit.axes.learning.split import split_dataset
from jaxedit.axes.report import fit_probes
from jaxedit.errors import InputError
from jaxedit.evaluation.config import LEAKAGE_ATTRIBUTES
from jaxedit.labels.dataset import LabelledLatents

LONGEST = 10.0
"""Largest length of a direction in W: about the distance of a typical latent from the mean."""


@dataclasses.dataclass(frozen=True)
class TrainingSplit:
    """Training data of all methods: the same split as in `learn_axes` with the same configuration.

    Attributes:
        dataset: the whole dataset with raw values, for methods that split it themselves.
        pca: PCA of all latents.
        w: latents of the training split.
        labels: their labels, quantile-transformed, clipped to ±4 standard deviations.
        held_out_w: latents of the held-out split.
        held_out_labels: their labels, by the quantile transform of the training split.
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
        """Names of the attributes, in the order of the labels."""
        return tuple(self.dataset.attribute_names)

    def columns(self, names: Sequence[str]) -> list[int]:
        """Columns of attributes.

        Raises:
            InputError: if there are no names, a name is unknown, or a name comes twice.
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
    """Split a dataset as `learn_axes` does, transform its labels, and fit PCA and probes.

    Args:
        dataset: labeled latents.
        num_components: k of the PCA.
        config: settings with `held_out_fraction` and `split_seed`, by default `AxesConfig()`.

    Raises:
        InputError: if a value is missing, or dataset and settings do not fit together, as in `learn_axes`.
    """
    if not dataset.is_complete:
        raise InputError(
            "dataset: expected no missing values, since classifiers of the baselines are fitted to all latents; select "
            "complete attributes"
        )
    pca = fit_pca(dataset.w, num_components)
    split = split_dataset(dataset, pca, AxesConfig() if config is None else config)
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
    """Scale directions so that an amount of 1 is a useful edit.

    The scaled direction is d · sign(pᵀd) · clip(1 / |pᵀd|, shortest / ‖d‖, longest / ‖d‖), with p the probe of the
    attribute. It changes the probe by +1 standard deviation, unless its length would be out of range. Directions of
    length zero stay zero.

    Args:
        directions: direction of each attribute.
        probes: probe of each attribute, as columns.
        shortest: least length in W.
        longest: largest length in W.
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
    """Directions in W+ that are zero outside the layers of each attribute.

    Args:
        directions: direction of each attribute in W.
        names: names of the attributes.
        layers: layers by attribute. Attributes without an entry move all layers.
        num_ws: number of layers of the generator.

    Raises:
        InputError: if a range is empty or out of range.
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
    """The coordinate with the largest |Pearson correlation| for each attribute.

    Returns:
        Indices of the coordinates, and their signed correlations, [num_attributes] each.
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
