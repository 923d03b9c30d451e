"""Gaussian latents with attributes that are noisy linear functions, so that the result of each method is known."""

import itertools

import numpy as np
import pytest

from benchmarks.baselines.training_labels import TrainingSplit, prepare
from jaxedit.axes import AxesConfig
from jaxedit.generators.mobile_stylegan import MobileStyleGAN, MobileStyleGANConfig
from jaxedit.labels.dataset import LabelledLatents
from tests.benchmarks.baselines.known_latents import NAMES, W_DIM, KnownLatents


@pytest.fixture(scope="session")
def known_latents() -> KnownLatents:
    random = np.random.RandomState(0)
    basis = np.linalg.qr(random.randn(W_DIM, W_DIM))[0]
    factor = basis * np.geomspace(2.0, 0.2, W_DIM)
    mean = 0.5 * random.randn(W_DIM)
    white = random.randn(len(NAMES), W_DIM)
    white[1] += 0.6 * white[0]  # gender correlates with age
    white /= np.linalg.norm(white, axis=1, keepdims=True) / 0.95
    gradients = white @ np.linalg.inv(factor)
    x = random.randn(4000, W_DIM)
    w = (mean + x @ factor.T).astype(np.float32)
    values = x @ white.T + np.sqrt(1 - 0.95**2) * random.randn(len(x), len(NAMES))
    dataset = LabelledLatents(w, values.astype(np.float32), NAMES, ("",) * len(NAMES))
    return KnownLatents(mean, factor @ factor.T, gradients, dataset)


@pytest.fixture(scope="session")
def split(known_latents) -> TrainingSplit:
    return prepare(known_latents.dataset, num_components=W_DIM, config=AxesConfig(batch_size=64))


@pytest.fixture(scope="session")
def tiny() -> MobileStyleGAN:
    """A generator with random weights, six layers and images of 32²."""
    channels = (16, 8, 8)
    random = np.random.RandomState(0)

    def array(*shape):
        return (random.randn(*shape) / np.sqrt(shape[0])).astype(np.float32)

    def affine(outer):
        return {"weight": array(W_DIM, outer), "bias": np.ones(outer, np.float32)}

    def convolution(inner, outer, size):
        return {
            "modulation": affine(inner),
            "depthwise": array(3, 3, inner),
            "pointwise": array(inner, outer),
            "noise": array(size, size),
            "bias": array(outer),
        }

    blocks = {}
    for i, (inner, outer) in enumerate(itertools.pairwise(channels)):
        size = 8 * 2**i
        blocks[str(i)] = {
            "up": affine(inner),
            "conv1": convolution(inner // 4, outer, size),
            "conv2": convolution(outer, outer, size),
        }
    blocks["1"]["head"] = {"modulation": affine(8), "weight": array(8, 12), "bias": array(12)}
    first = {
        "constant": array(4, 4, 16),
        "modulation": affine(16),
        "weight": array(3, 3, 16, 16),
        "noise": array(4, 4),
        "bias": array(16),
    }
    params = {
        "mapping_network": {"layers": {"0": affine(W_DIM)}},
        "w_avg": np.zeros(W_DIM, np.float32),
        "input_conv": first,
        "blocks": blocks,
    }
    config = MobileStyleGANConfig(
        z_dim=W_DIM, w_dim=W_DIM, mapping_layers=1, resolution=32, channels=channels
    )
    return MobileStyleGAN(config, params)
