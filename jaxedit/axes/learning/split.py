"""The split of labeled latents into training and held-out samples."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxedit.axes.config import AxesConfig
from jaxedit.axes.learning.training import TrainingData
from jaxedit.errors import InputError
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.histogram_transform import fit_histogram_transform
from jaxedit.labels.quantile_transform import QuantileTransform, fit_quantile_transform
from jaxedit.latents.pca import PCA

LARGEST_LABEL = 4.0
"""Limit of the labels in standard deviations. Of a million normal numbers, about sixty lie beyond."""


@dataclasses.dataclass(frozen=True)
class DatasetSplit:
    """A dataset in PCA coordinates with quantile-transformed labels, split into training and held-out samples.

    Attributes:
        quantile_transform: the transform of the labels, fitted on the training split.
        data: first k coordinates and labels of both splits.
        w_pca: all coordinates of the training split.
        held_out_w_pca: all coordinates of the held-out split.
    """

    quantile_transform: QuantileTransform
    data: TrainingData
    w_pca: Float[Array, "num_training w_dim"]
    held_out_w_pca: Float[Array, "num_held_out w_dim"]


def largest_batch(num_samples: int, config: AxesConfig) -> int:
    """The largest batch size that so many samples allow; 0 for too few samples to hold any out."""
    num_training = _num_training(num_samples, config)
    return num_training if num_samples - num_training >= 2 else 0


def _num_training(num_samples: int, config: AxesConfig) -> int:
    return num_samples - round(config.held_out_fraction * num_samples)


def split_dataset(dataset: LabelledLatents, pca: PCA, config: AxesConfig) -> DatasetSplit:
    """Split a dataset at random, and prepare both splits for training.

    Args:
        dataset: labeled latents.
        pca: PCA of the latents.
        config: settings; `held_out_fraction` and `split_seed` determine the split.

    Raises:
        InputError: if dataset, PCA and settings do not fit together.
    """
    num_attributes, k = len(dataset.attribute_names), pca.num_components
    if dataset.w.shape[1] != pca.w_dim:
        raise InputError(
            f"dataset: expected latents of the PCA's width {pca.w_dim}, got {dataset.w.shape[1]}"
        )
    if not 1 <= num_attributes <= k:
        raise InputError(
            f"dataset: expected 1…{k} attributes (there are {k} axes: num_components of the PCA), got {num_attributes}"
        )
    num_training = _num_training(len(dataset), config)
    num_held_out = len(dataset) - num_training
    if num_held_out < 2 or num_training < config.batch_size:
        raise InputError(
            f"dataset: expected enough samples for batches of {config.batch_size} and two held out, got {len(dataset)} "
            f"({num_training} for training, {num_held_out} held out); a smaller batch_size, or more labels"
        )
    order = jax.random.permutation(jax.random.key(config.split_seed % 2**32), len(dataset))
    training, held_out = order[:num_training], order[num_training:]
    values = jnp.asarray(dataset.values, jnp.float32)
    known = _known(values, dataset.attribute_names, held_out)
    # The transform is fitted on the training split only: held-out labels must not influence their own targets.
    quantile_transform = _fit_transform(config, values[training], dataset)
    # Values beyond are errors of the classifier: normal scores of so few samples stay below. One such value would
    # outweigh hundreds of samples in a squared error or a correlation.
    labels = jnp.clip(quantile_transform.transform(values), -LARGEST_LABEL, LARGEST_LABEL)
    labels = labels if known is None else jnp.where(known, labels, 0.0)
    w_pca = pca.transform(jnp.asarray(dataset.w, jnp.float32))
    data = TrainingData(
        w_pca[training, :k],
        labels[training],
        w_pca[held_out, :k],
        labels[held_out],
        pca.explained_variance[:k],
        None if known is None else known[training],
        None if known is None else known[held_out],
    )
    return DatasetSplit(quantile_transform, data, w_pca[training], w_pca[held_out])


def _fit_transform(
    config: AxesConfig, values: Float[Array, "num_training num_attributes"], dataset: LabelledLatents
) -> QuantileTransform:
    names = dataset.attribute_names
    if config.label_transform == "histogram":
        return fit_histogram_transform(np.asarray(values), names, dataset.attribute_units)
    return fit_quantile_transform(values, names)


def _known(
    values: Float[Array, "num_samples num_attributes"], names: Sequence[str], held_out: Array
) -> Bool[Array, "num_samples num_attributes"] | None:
    """Which values are not missing; None if none is.

    Raises:
        InputError: if an attribute is hardly known among the held-out samples.
    """
    if not bool(jnp.isnan(values).any()):
        return None
    known = ~jnp.isnan(values)
    for name, count in zip(names, np.asarray(known[held_out].sum(0)), strict=True):
        if count < 2:
            raise InputError(
                f"attribute '{name}': expected two known values or more among the {len(held_out)} held-out samples, "
                f"got {count}"
            )
    return known
