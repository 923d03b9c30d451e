"""A small dataset like the real one: curved latents with a large mean, noisy correlated attributes."""

import numpy as np
import pytest

from jaxedit.axes import AttributeAxes, AxesConfig, fit_pca, learn_axes
from jaxedit.labels.dataset import LabelledLatents

NAMES = ("age", "smile", "yaw")
SMALL = AxesConfig(
    num_layers=2, hidden_width=32, num_steps=60, steps_per_chunk=20, batch_size=128, learning_rate=1e-3
)


def latents(num: int, w_dim: int = 32, seed: int = 0) -> np.ndarray:
    """Latents like those of a mapping network: leaky ReLU, a spectrum over three decades, a mean far from zero."""
    fixed = np.random.RandomState(7)
    z = np.random.RandomState(seed).randn(num, w_dim)
    h = z @ fixed.randn(w_dim, w_dim) / np.sqrt(w_dim)
    h = np.where(h > 0, h, 0.2 * h)
    basis = np.linalg.qr(fixed.randn(w_dim, w_dim))[0]
    return (h @ (basis * np.geomspace(2.0, 0.05, w_dim)) @ basis.T + 3.0 * fixed.randn(w_dim)).astype(
        np.float32
    )


def attributes(w: np.ndarray, seed: int = 0) -> np.ndarray:
    """An age in years (log-normal), a smile that correlates with it, a yaw in degrees; mildly nonlinear, noisy."""
    fixed, noise = np.random.RandomState(8), np.random.RandomState(seed + 100)
    x = (w - w.mean(0)) / w.std(0)
    directions = fixed.randn(w.shape[1], 3)
    directions[:, 1] += 0.5 * directions[:, 0]
    y = x @ directions
    y = y / y.std(0) + 0.2 * np.tanh(x @ fixed.randn(w.shape[1], 3)) + 0.3 * noise.randn(len(w), 3)
    return np.stack([30 * np.exp(0.4 * y[:, 0]), y[:, 1], 15 * y[:, 2]], axis=1).astype(np.float32)


@pytest.fixture(scope="session")
def dataset() -> LabelledLatents:
    w = latents(2000)
    return LabelledLatents(w, attributes(w), NAMES, ("years", "logit", "degrees"))


@pytest.fixture(scope="session")
def pca(dataset):
    return fit_pca(dataset.w, 24)


@pytest.fixture(scope="session")
def axes(dataset, pca) -> AttributeAxes:
    return learn_axes(dataset, pca, SMALL, progress=False)
