"""The small face detector of face-api, for photographs of any kind.

A Flax port of the "tiny face detector" (V. Mühler; kept up by V. Mandic, `@vladmandic/face-api` 1.7.15, MIT), a
network of the YOLO v2 family: each cell of a grid predicts, for five anchor boxes, the score and place of a face.
Values agree with TensorFlow.js within float32.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.attributes.faces.pretrained import FACE_WEIGHTS
from jaxedit.errors import InputError
from jaxedit.nn.layers import Conv, Linear, SeparableConv
from jaxedit.nn.parameters import Params

SCORE_THRESHOLD = 0.5
"""Boxes of a lower score are not faces: the original's default."""

OVERLAP_THRESHOLD = 0.4
"""Of two boxes whose intersection over union is larger, the one with the higher score stays: the original's value."""

LEAKY_SLOPE = 0.1
"""Of the activation below zero."""

_STRIDE = 32
_NUM_HALVING = 5


class FaceDetector(nnx.Module):
    """Five halving convolutions, a sixth, and one linear head over the cells."""

    def __init__(self, config: Mapping[str, Any], params: Params) -> None:
        self.conv_in = Conv(params["conv0"], padding="VALID")
        self.convs = nnx.List([SeparableConv(params[f"conv{i}"]) for i in range(1, _NUM_HALVING + 1)])
        self.head = Linear(params["head"])
        self.mean_rgb = tuple(config["mean_rgb"])
        self.anchors = tuple(map(tuple, config["anchors"]))

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None) -> "FaceDetector":
        """The detector with the weights of face-api, from the same folder as `FaceNetworks`.

        Args:
            folder: as for `FaceNetworks.from_pretrained`.

        Raises:
            DownloadError, CheckpointError, OutputError: as `FaceNetworks.from_pretrained` does.
        """
        return FACE_WEIGHTS.load(lambda config, arrays: cls(config["detector"], arrays["detector"]), folder)

    def __call__(
        self, squares: Float[Array, "batch height width 3"]
    ) -> tuple[Float[Array, "batch num_boxes 4"], Float[Array, "batch num_boxes"]]:
        """Every box (left, top, right, bottom), in fractions of the side, and its score in 0…1.

        Args:
            squares: RGB in [-1, 1], the side a multiple of 32 (416 in the original). Pad other images
                with black at the right or at the bottom.

        Raises:
            InputError: if the side is not a multiple of 32.
        """
        size = squares.shape[1]
        if size % _STRIDE or size == 0 or squares.shape[2] != size:
            raise InputError(f"squares: expected a side that is a multiple of {_STRIDE}, got {squares.shape}")
        x = ((squares + 1) * 127.5 - jnp.asarray(self.mean_rgb, jnp.float32)) / 255
        x = _leaky_relu(self.conv_in(x))
        for conv in self.convs:
            x = _leaky_relu(conv(_max_pool_2x2(x, stride=2)))
        return self._decode(self.head(_max_pool_2x2(x, stride=1)))

    def _decode(
        self, x: Float[Array, "batch cells cells outputs"]
    ) -> tuple[Float[Array, "batch num_boxes 4"], Float[Array, "batch num_boxes"]]:
        """The center lies in its cell, by a sigmoid; the size is the anchor's times an exponential."""
        batch, cells = x.shape[:2]
        x = x.reshape(batch, cells, cells, len(self.anchors), 5)
        corners = jnp.stack(jnp.meshgrid(jnp.arange(cells), jnp.arange(cells)), -1)[:, :, None]
        centers = (corners + jax.nn.sigmoid(x[..., :2])) / cells
        halves = jnp.exp(x[..., 2:4]) * jnp.asarray(self.anchors, jnp.float32) / (2 * cells)
        boxes = jnp.concatenate([centers - halves, centers + halves], -1)
        return boxes.reshape(batch, -1, 4), jax.nn.sigmoid(x[..., 4]).reshape(batch, -1)


def choose_boxes(
    boxes: Float[np.ndarray, "num_boxes 4"],
    scores: Float[np.ndarray, " num_boxes"],
    *,
    score_threshold: float = SCORE_THRESHOLD,
    overlap_threshold: float = OVERLAP_THRESHOLD,
) -> list[int]:
    """Non-maximum suppression: the indices of boxes of different faces, the highest score first."""
    waiting = [int(i) for i in np.argsort(-scores, kind="stable") if scores[i] > score_threshold]
    chosen = []
    while waiting:
        best, *waiting = waiting
        chosen.append(best)
        shared = overlaps(boxes[best], boxes[waiting])
        waiting = [i for i, part in zip(waiting, shared, strict=True) if part <= overlap_threshold]
    return chosen


def overlaps(
    box: Float[np.ndarray, "4"], boxes: Float[np.ndarray, "num_boxes 4"]
) -> Float[np.ndarray, " num_boxes"]:
    """Intersection over union of one box with each of the others."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    return shared / (np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - shared)


def _leaky_relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jax.nn.leaky_relu(x, LEAKY_SLOPE)


def _max_pool_2x2(x: Float[Array, "b h w c"], *, stride: int) -> Float[Array, "b h2 w2 c"]:
    """Maximum over 2×2 windows; the last window may reach over the edge, as padding "SAME" of TensorFlow has it."""
    height, width = (-(-length // stride) for length in x.shape[1:3])
    padded = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=-jnp.inf)
    rows = jnp.maximum(padded[:, :-1:stride], padded[:, 1::stride])[:, :height]
    return jnp.maximum(rows[:, :, :-1:stride], rows[:, :, 1::stride])[:, :, :width]
