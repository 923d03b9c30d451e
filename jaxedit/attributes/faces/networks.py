"""Four small face networks: age and gender, expressions, 68 landmarks, identity.

Flax ports of the networks of face-api (V. Mühler; kept up by V. Mandic, `@vladmandic/face-api` 1.7.15,
MIT). Each takes face crops [batch, height, width, 3], RGB float32 in [-1, 1], of any size. As in the
original, a network pads crops to a square with black and resizes them without antialiasing, so the size of a crop
should be near the network's input size (112 or 150 pixels; the original uses crops of about 160).
Values agree with TensorFlow.js within float32.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.attributes.faces.pretrained import FACE_WEIGHTS
from jaxedit.nn.layers import (
    Conv,
    Linear,
    SeparableConv,
)
from jaxedit.nn.parameters import Params
from jaxedit.nn.pooling import max_pool_3x3
from jaxedit.nn.resize import average_pool, pad_to_square, resize_bilinear_tfjs

NUM_LANDMARKS = 68
INPUT_SIZE = 112
"""Pixels a side to which all but the identity network resize their crops."""

DESCRIPTOR_DIM = 128


def _prepare(
    crops: Float[Array, "batch height width 3"], size: int, mean_rgb: Sequence[float]
) -> Float[Array, "batch {size} {size} 3"]:
    """From [-1, 1] to what the networks were trained on: (0…255 minus the mean color) / 255."""
    pixels = (resize_bilinear_tfjs(pad_to_square(crops, -1.0), size) + 1) * 127.5
    return (pixels - jnp.asarray(mean_rgb, jnp.float32)) / 255


class ReductionBlock(nnx.Module):
    """Two separable convolutions and a max pooling, beside a 1×1 convolution; halves the resolution."""

    def __init__(self, params: Params, *, activate_input: bool) -> None:
        self.conv0 = SeparableConv(params["conv0"])
        self.conv1 = SeparableConv(params["conv1"])
        self.expansion = Linear(params["expansion"])
        self.activate_input = activate_input

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """The sum of the two branches."""
        y = self.conv0(jax.nn.relu(x) if self.activate_input else x)
        y = self.conv1(jax.nn.relu(y))
        return max_pool_3x3(y, stride=2, padding="SAME") + self.expansion(x[:, ::2, ::2])


class MainBlock(nnx.Module):
    """Three separable convolutions with a skip."""

    def __init__(self, params: Params) -> None:
        self.convs = nnx.List([SeparableConv(params[f"conv{i}"]) for i in range(3)])

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """The input plus the three convolutions of it, each after a ReLU."""
        y = x
        for conv in self.convs:
            y = conv(jax.nn.relu(y))
        return x + y


class AgeGenderNet(nnx.Module):
    """Age in years and the two gender logits, from a tiny Xception."""

    def __init__(self, params: Params, *, mean_rgb: Sequence[float]) -> None:
        self.conv_in = Conv(params["conv_in"], stride=2)
        self.reduction0 = ReductionBlock(params["reduction0"], activate_input=False)
        self.reduction1 = ReductionBlock(params["reduction1"], activate_input=True)
        self.main0 = MainBlock(params["main0"])
        self.main1 = MainBlock(params["main1"])
        self.reduction2 = ReductionBlock(params["reduction2"], activate_input=True)
        self.conv_out = SeparableConv(params["conv_out"])
        self.age = Linear(params["age"])
        self.gender = Linear(params["gender"])
        self.mean_rgb = tuple(mean_rgb)

    def __call__(
        self, crops: Float[Array, "batch height width 3"]
    ) -> tuple[Float[Array, " batch"], Float[Array, "batch 2"]]:
        """Ages in years, and logits in the order (male, female)."""
        x = jax.nn.relu(self.conv_in(_prepare(crops, INPUT_SIZE, self.mean_rgb)))
        x = self.reduction1(self.reduction0(x))
        x = self.main1(self.main0(x))
        x = jax.nn.relu(self.conv_out(self.reduction2(x)))
        features = x.mean((1, 2))
        return self.age(features)[:, 0], self.gender(features)


class DenseBlock(nnx.Module):
    """Four convolutions, each fed the sum of all before it; the first halves the resolution."""

    def __init__(self, params: Params) -> None:
        first = params["conv0"]
        self.conv0 = Conv(first, stride=2) if "filters" in first else SeparableConv(first, stride=2)
        self.convs = nnx.List([SeparableConv(params[f"conv{i}"]) for i in (1, 2, 3)])

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """s₀ = relu(conv₀(x)), then sₙ = relu(s + convₙ(sₙ₋₁)) with s the sum of all outputs so far."""
        activated = total = jax.nn.relu(self.conv0(x))
        for conv in self.convs:
            total = total + conv(activated)
            activated = jax.nn.relu(total)
        return activated


class DenseFaceNet(nnx.Module):
    """Four dense blocks, global mean, one linear head: the backbone of expressions and landmarks."""

    def __init__(self, params: Params, *, mean_rgb: Sequence[float]) -> None:
        self.blocks = nnx.List([DenseBlock(params[f"dense{i}"]) for i in range(4)])
        self.head = Linear(params["head"])
        self.mean_rgb = tuple(mean_rgb)

    def __call__(self, crops: Float[Array, "batch height width 3"]) -> Float[Array, "batch outputs"]:
        """The raw outputs of the head."""
        x = _prepare(crops, INPUT_SIZE, self.mean_rgb)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))


class ExpressionNet(DenseFaceNet):
    """Seven expression logits (before the softmax)."""


class LandmarkNet(DenseFaceNet):
    """The 68 landmarks of the iBUG scheme."""

    def __call__(self, crops: Float[Array, "batch height width 3"]) -> Float[Array, "batch 68 2"]:
        """Landmarks (x, y) as fractions of the crop's width and height, y downward."""
        height, width = crops.shape[1:3]
        side = max(height, width)
        sides = jnp.asarray([width, height], jnp.float32)
        square = super().__call__(crops).reshape(-1, NUM_LANDMARKS, 2)
        return (square * side - (side - sides) / 2) / sides


class ScaledConv(nnx.Module):
    """Convolution, then `y · scale + shift` for each channel (a folded batch norm)."""

    def __init__(self, params: Params, *, down: bool = False) -> None:
        self.conv = Conv(params, stride=2, padding="VALID") if down else Conv(params)
        self.scale = nnx.Param(jnp.asarray(params["scale"]))
        self.shift = nnx.Param(jnp.asarray(params["shift"]))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """The scaled convolution, without activation."""
        return self.conv(x) * self.scale[...] + self.shift[...]


class ResidualBlock(nnx.Module):
    """Two convolutions with a skip; "down" halves the resolution and may widen."""

    def __init__(self, params: Params, *, down: bool) -> None:
        self.conv1 = ScaledConv(params["conv1"], down=down)
        self.conv2 = ScaledConv(params["conv2"])
        self.down = down

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 d"]:
        """The skip is pooled, its new channels are zero; the convolutions' smaller output is padded."""
        y = self.conv2(jax.nn.relu(self.conv1(x)))
        if self.down:
            x = average_pool(x, 2)
            x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, y.shape[3] - x.shape[3])))
            y = jnp.pad(y, ((0, 0), (0, x.shape[1] - y.shape[1]), (0, x.shape[2] - y.shape[2]), (0, 0)))
        return jax.nn.relu(x + y)


RESIDUAL_BLOCKS = (
    *("conv32_1", "conv32_2", "conv32_3"),
    *("conv64_down", "conv64_1", "conv64_2", "conv64_3"),
    *("conv128_down", "conv128_1", "conv128_2"),
    *("conv256_down", "conv256_1", "conv256_2", "conv256_down_out"),
)


class IdentityNet(nnx.Module):
    """A residual network. Its 128 outputs are near for two images of one person."""

    def __init__(self, params: Params, *, mean_rgb: Sequence[float]) -> None:
        self.conv_in = ScaledConv(params["conv_in"], down=True)
        self.blocks = nnx.List([ResidualBlock(params[n], down="_down" in n) for n in RESIDUAL_BLOCKS])
        self.head = Linear(params["head"])
        self.mean_rgb = tuple(mean_rgb)

    def __call__(self, crops: Float[Array, "batch height width 3"]) -> Float[Array, "batch 128"]:
        """The descriptors, not normalized: two faces of one person lie within about 0.6 (Euclidean)."""
        x = jax.nn.relu(self.conv_in(_prepare(crops, 150, self.mean_rgb)))
        x = max_pool_3x3(x, stride=2, padding="VALID")
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))


class FaceNetworks(nnx.Module):
    """The four networks together.

    Attributes:
        age_gender: crops → (age in years [batch], logits [batch, 2] in the order of `genders`).
        expressions: crops → logits [batch, 7] in the order of `expression_names`.
        landmarks: crops → [batch, 68, 2], fractions of the crop.
        identity: crops → descriptors [batch, 128].
    """

    def __init__(self, config: Mapping[str, Any], params: Params) -> None:
        mean_rgb = config["mean_rgb"]
        self.age_gender = AgeGenderNet(params["age_gender"], mean_rgb=mean_rgb)
        self.expressions = ExpressionNet(params["expressions"], mean_rgb=mean_rgb)
        self.landmarks = LandmarkNet(params["landmarks"], mean_rgb=mean_rgb)
        self.identity = IdentityNet(params["identity"], mean_rgb=mean_rgb)
        self.expression_names = tuple(config["expressions"])
        self.genders = tuple(config["genders"])

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None) -> "FaceNetworks":
        """The networks with the weights of face-api.

        Args:
            folder: a checkpoint folder of kind "face-api". None: the one in the cache, which is made first if it is
                missing or damaged (this fetches 13 MB once).

        Raises:
            DownloadError: if the source cannot be fetched.
            CheckpointError: if `folder` is given and is missing, damaged, or of another kind.
            OutputError: if the cache cannot be written.
        """
        return FACE_WEIGHTS.load(cls, folder)
