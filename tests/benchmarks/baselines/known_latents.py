"""Constants and functions shared by the tests of the baselines."""

import dataclasses

import numpy as np

from benchmarks.baselines.latent_transformer import Config
from jaxedit.labels.dataset import LabelledLatents

W_DIM = 16
NAMES = ("age", "gender", "smile", "hat")
TRANSFORMERS = Config(hidden_widths=(64,), classifier_epochs=10, classifier_learning_rate=3e-3, epochs=10)
"""One configuration for all tests, so that it is compiled once."""


@dataclasses.dataclass(frozen=True)
class KnownLatents:
    """w ~ N(mean, covariance). Attribute i is gradients[i] · (w − mean) plus noise, with variance 1."""

    mean: np.ndarray
    covariance: np.ndarray
    gradients: np.ndarray
    dataset: LabelledLatents


def cosines(a, b) -> np.ndarray:
    """Cosines of the angles between rows."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
