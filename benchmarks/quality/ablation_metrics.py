"""Metrics of the ablations, on held-out latents."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.reporting import Rows
from jaxedit.axes import PCA, AttributeAxes, AxesConfig
from jaxedit.axes.autoencoder import AxisAutoencoder
from jaxedit.axes.correlations import mean_off_diagonal
from jaxedit.axes.leakage import leakage_of_effects
from jaxedit.axes.learning.split import split_dataset
from jaxedit.axes.report import fit_probes, held_out_report
from jaxedit.evaluation.code_scores import SCORES, score_codes
from jaxedit.labels.dataset import LabelledLatents


class Reference(NamedTuple):
    """Data and probes that measure all cells of one held-out split. Latents are PCA coordinates.

    Attributes:
        training: latents of the training split.
        labels: their quantile-transformed labels.
        held_out: latents of the held-out split.
        held_out_labels: their labels, by the quantile transform of the training split.
        probes: linear probes of the labels, fitted on the training split, as in `AxesReport`. They share labels, and
            so errors, with the axes.
        fresh_probes: linear probes fitted on the held-out split. They share no labels with the axes.
        explained_variance: λ of the PCA.
    """

    training: Array
    labels: Array
    held_out: Array
    held_out_labels: Array
    probes: Array
    fresh_probes: Array
    explained_variance: Array

    @classmethod
    def of(cls, dataset: LabelledLatents, pca: PCA, config: AxesConfig) -> "Reference":
        """The split of a configuration, and probes fitted on all its labels."""
        split = split_dataset(dataset, pca, config)
        training, held_out = split.w_pca, split.held_out_w_pca
        labels, held_out_labels = split.data.labels, split.data.held_out_labels
        variance = pca.explained_variance
        probes, fresh = (
            fit_probes(training, labels, variance),
            fit_probes(held_out, held_out_labels, variance),
        )
        return cls(training, labels, held_out, held_out_labels, probes, fresh, variance)


@functools.partial(jax.jit, static_argnames="k")
def _measure(
    autoencoder: AxisAutoencoder, reference: Reference, k: int
) -> tuple[Array, dict[str, Array | np.ndarray]]:
    """The held-out codes, and the metrics that need the networks."""
    with jax.default_matmul_precision("highest"):
        report = held_out_report(
            autoencoder, reference.held_out, reference.held_out_labels, reference.probes, k
        )
        codes = autoencoder.encode(reference.held_out[:, :k])
        variance = reference.explained_variance[:k]
        whitener = jnp.where(variance > 0, 1 / jnp.sqrt(jnp.where(variance > 0, variance, 1.0)), 0.0)

        def effect(i: Array) -> tuple[Array, Array]:
            """Mean change of the fresh probes by an edit of size one, and the length of that edit in whitened PCA
            coordinates."""
            move = jax.nn.one_hot(i, k)
            change = 0.5 * (autoencoder.decode(codes + move) - autoencoder.decode(codes - move))
            return change.mean(0) @ reference.fresh_probes[:k], jnp.linalg.norm(
                change * whitener, axis=1
            ).mean()

        effects, lengths = jax.lax.map(effect, jnp.arange(reference.labels.shape[1]))
        own = jnp.diagonal(effects)
    return codes, {
        "axis_label_correlation": report.axis_label_correlation.mean(),
        "code_correlation": report.code_correlation,
        "attribute_code_correlation": report.attribute_code_correlation,
        "leakage": report.leakage.mean(),
        "fresh_leakage": leakage_of_effects(effects).mean(),
        "effect": own.mean(),
        "move_length": (lengths / jnp.abs(own)).mean(),
        "reconstruction_error": report.reconstruction_error,
    }


def measure(axes: AttributeAxes, reference: Reference) -> dict[str, float]:
    """All metrics of one training, except its time."""
    codes, found = _measure(axes.autoencoder, reference, axes.pca.num_components)
    numbers = {name: float(value) for name, value in found.items()}
    if not np.isfinite(np.asarray(codes)).all():  # a training that diverged
        return numbers | dict.fromkeys(SCORES, float("nan"))
    return numbers | score_codes(codes, reference.held_out_labels)


def references(reference: Reference, k: int) -> Rows:
    """Scores of three codes that need no training, as rows.

    - The labels.
    - The decorrelated labels: c = Σ^−½ y with Σ the correlations of the labels. Then y = Σ^½ c, so an edit of one axis
      also changes all correlated attributes.
    - The principal components.

    The first two are filled up with noise to k columns.
    """
    labels = np.asarray(reference.held_out_labels)
    labels = (labels - labels.mean(0)) / labels.std(0)
    noise = np.random.RandomState(0).randn(len(labels), k - labels.shape[1]).astype(np.float32)
    correlations = np.corrcoef(labels.T)
    values, vectors = np.linalg.eigh(correlations)
    root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))

    def row(label: str, codes: np.ndarray, effects: np.ndarray) -> dict[str, Any]:
        known = {
            "axis_label_correlation": np.diagonal(np.corrcoef(codes.T, labels.T), len(effects)).mean(),
            "attribute_code_correlation": mean_off_diagonal(jnp.asarray(np.corrcoef(codes.T))),
            "fresh_leakage": leakage_of_effects(effects.astype(np.float32)).mean(),
        }
        every = np.hstack([codes, noise]).astype(np.float32)
        return (
            {"label": label}
            | {name: float(value) for name, value in known.items()}
            | score_codes(every, labels)
        )

    return [
        row("labels", labels, np.eye(labels.shape[1])),
        row("labels, decorrelated", labels @ inverse, root),
        {"label": "principal components"} | score_codes(reference.held_out[:, :k], labels),
    ]
