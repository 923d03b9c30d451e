"""A tiny generator of each family, and tiny axes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.axes import AttributeAxes, AxesConfig, fit_pca
from jaxedit.axes.autoencoder import MLP, AxisAutoencoder, LinearPath
from jaxedit.axes.layer_curves import LayerCurves
from jaxedit.axes.report import AxesReport
from jaxedit.generators.mobile_stylegan import MobileStyleGAN, MobileStyleGANConfig
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.inversion.encoder import Encoder, _array_shapes
from jaxedit.inversion.encoder_config import EncoderConfig
from jaxedit.labels.quantile_transform import fit_quantile_transform
from jaxedit.nn.lpips import LPIPS
from tests.generators.random_weights import stylegan2_params

W_DIM, K = 8, 4
NAMES, UNITS = ("age", "smile"), ("years", "logit")


@functools.cache
def stylegan2(architecture="skip", *, channels=(8, 8), c_dim=0, conv_clamp=None) -> StyleGAN2:
    config = StyleGAN2Config(
        z_dim=W_DIM,
        c_dim=c_dim,
        w_dim=W_DIM,
        mapping_layers=2,
        resolution=4 * 2 ** (len(channels) - 1),
        channels=channels,
        architecture=architecture,
        conv_clamp=conv_clamp,
    )
    return StyleGAN2(config, stylegan2_params(config, noise_strength=0.1))


@functools.cache
def mobile_stylegan(channels=(16, 8)) -> MobileStyleGAN:
    blocks = len(channels) - 1
    config = MobileStyleGANConfig(
        z_dim=W_DIM, w_dim=W_DIM, mapping_layers=2, resolution=8 * 2**blocks, channels=channels
    )
    random = np.random.RandomState(0)

    def draw(*shape, gain=1.0):
        return (gain * random.standard_normal(shape)).astype(np.float32)

    def affine(outer):
        return {"weight": draw(W_DIM, outer, gain=W_DIM**-0.5), "bias": np.ones(outer, np.float32)}

    def separable(inner, outer, size):
        return {
            "modulation": affine(inner),
            "depthwise": draw(3, 3, inner),
            "pointwise": draw(inner, outer, gain=2 * inner**-0.5),
            "noise": draw(size, size, gain=0.1),
            "bias": draw(outer, gain=0.1),
        }

    def block(i):
        inner, outer, size = channels[i], channels[i + 1], 8 * 2**i
        parts = {
            "up": affine(inner),
            "conv1": separable(inner // 4, outer, size),
            "conv2": separable(outer, outer, size),
        }
        if i < blocks - 1:
            return parts
        return parts | {
            "head": {
                "modulation": affine(outer),
                "weight": draw(outer, 12, gain=0.02),
                "bias": draw(12, gain=0.1),
            }
        }

    params = {
        "mapping_network": {"layers": {str(i): affine(W_DIM) for i in range(2)}},
        "w_avg": draw(W_DIM, gain=0.1),
        "input_conv": {
            "constant": draw(4, 4, channels[0]),
            "modulation": affine(channels[0]),
            "weight": draw(3, 3, channels[0], channels[0]),
            "noise": draw(4, 4, gain=0.1),
            "bias": draw(channels[0], gain=0.1),
        },
        "blocks": {str(i): block(i) for i in range(blocks)},
    }
    return MobileStyleGAN(config, params)


def normal(*shape, seed=0) -> np.ndarray:
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


@functools.cache
def small_axes(num_ws: int | None = 4, *, linear: bool = True) -> AttributeAxes:
    """Axes of random numbers; with curves of `num_ws` layers, or without."""
    pca = fit_pca(normal(50, W_DIM), K)
    spread = normal(60, len(NAMES), seed=1) * [10, 1] + [40, 0]

    def network(seed):
        kernels = tuple(jnp.asarray(0.3 * normal(*shape, seed=seed)) for shape in ((K, 6), (6, K)))
        return MLP(kernels, (jnp.zeros(6), jnp.asarray(0.1 * normal(K))), 0.01)

    path = LinearPath(pca.whitened_scale, jnp.eye(K), jnp.eye(K)) if linear else None
    curves = None
    if num_ws is not None:
        groups = jnp.minimum(jnp.arange(num_ws), 1).astype(jnp.int32)
        tangents, bends = (jnp.asarray(0.3 * normal(2, 2, K, seed=seed)) for seed in (4, 5))
        ends = jnp.asarray([[-2.0, 2.0], [-1.0, 3.0]])
        curves = LayerCurves(tangents, bends, ends, jnp.asarray([0.2, 0.5]), groups)
    correlation, effects = np.asarray([0.9, 0.8], np.float32), np.eye(2, dtype=np.float32)
    leakage = np.asarray([0.02, 0.03], np.float32)
    zero = np.zeros((), np.float32)
    return AttributeAxes(
        attribute_names=NAMES,
        attribute_units=UNITS,
        pca=pca,
        quantile_transform=fit_quantile_transform(spread.astype(np.float32), NAMES),
        autoencoder=AxisAutoencoder(network(2), network(3), path),
        config=AxesConfig(num_layers=2, hidden_width=6, linear_path=linear, input_noise=float(linear)),
        report=AxesReport(correlation, zero, zero, zero, effects, leakage, np.asarray([30, 40])),
        history={"total": np.ones(3, np.float32)},
        curves=curves,
        ranges=np.asarray([[-2, 2.5], [np.nan, np.nan]], np.float32),
    )


def weights_of(model) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(model)]


ENCODER_CONFIG = EncoderConfig(
    4, W_DIM, side=64, num_features=6, num_channels=3, num_hidden=10, num_components=5
)
_ALEXNET = ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))


@functools.cache
def tiny_encoder() -> Encoder:
    """An encoder of random numbers, for generators with four layers."""
    convs = {
        str(i): {
            "weight": normal(window, window, inner, outer, seed=i)
            * np.float32(1.4 / np.sqrt(inner * window**2)),
            "bias": 0.1 * normal(outer, seed=10 + i),
        }
        for i, (window, inner, outer) in enumerate(_ALEXNET)
    }
    heads = {str(i): np.ones(outer, np.float32) for i, (_, _, outer) in enumerate(_ALEXNET)}
    trunk = LPIPS({"network": "alex"}, {"convs": convs, "heads": heads})
    params = {
        part: {
            name: jnp.asarray(0.3 * normal(*shape, seed=sum(map(ord, name))))
            for name, shape in shapes.items()
        }
        for part, shapes in _array_shapes(ENCODER_CONFIG).items()
    }
    params["fixed"]["scales"] = jnp.abs(params["fixed"]["scales"]) + 0.1
    return Encoder(ENCODER_CONFIG, trunk, params)
