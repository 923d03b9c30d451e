"""The filtered leaky ReLU of StyleGAN3: upsampling, activation, downsampling, without aliasing.

Karras et al., *Alias-Free Generative Adversarial Networks*, NeurIPS 2021 (arXiv 2106.12423), section 3.2.

Both filters are separable (a radial one is a sum of a few separable ones), so they are matrix products: one matrix for
the rows and one for the columns, with a band of taps. Along a whole axis such a matrix would be almost empty. The image
is therefore cut into tiles, which all take the same small matrices. Most of the products are with zeros even so (six
times as many as the taps need), yet a CPU computes a matrix product some fifty times as fast as a sum of shifted views.
The four products need no transposition: rows, columns, columns, rows, each of the layout that the one before leaves.

The gradient is the same with the factors exchanged, and recomputes the upsampled image instead of keeping it.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.generators.protocol import has_explicit_sharding
from jaxedit.nn.platform_branch import platform_branch

_TILE = {"cpu": 16, "default": 64}
"""Largest side of a tile, in pixels of the image. On a CPU a tile stays in the cache."""


@dataclasses.dataclass(frozen=True)
class Resampling:
    """What the filtered leaky ReLU does to a square image.

    Attributes:
        up: factor of the upsampling, a multiple of `down`.
        down: factor of the downsampling.
        padding: zeros before the upsampled image; a negative number crops.
        size: pixels a side of the result.
        gain: factor of the activation.
        slope: of the activation left of 0.
        clamp: limit of the absolute value of the activation, or None.
    """

    up: int
    down: int
    padding: int
    size: int
    gain: float = math.sqrt(2)
    slope: float = 0.2
    clamp: float | None = 256.0


@dataclasses.dataclass(frozen=True)
class _Span:
    """A range of pixels or samples of one axis, relative to the first pixel of a tile."""

    start: int
    length: int

    @property
    def indices(self) -> np.ndarray:
        return np.arange(self.start, self.start + self.length)


def _upsampling(
    taps: Float[Array, " taps"], samples: _Span, pixels: _Span, spec: Resampling
) -> Float[Array, "samples pixels"]:
    """The matrix from pixels of the image to samples of the upsampled one."""
    j = spec.up * pixels.indices + spec.padding - samples.indices[:, None]
    return _banded(taps, j) * spec.up


def _downsampling(
    taps: Float[Array, "rank taps"], outputs: _Span, samples: _Span, spec: Resampling
) -> Float[Array, "rank outputs samples"]:
    """The matrices from samples of the upsampled image to pixels of the result."""
    return _banded(taps, samples.indices - spec.down * outputs.indices[:, None])


def _banded(taps: Float[Array, "*rank taps"], j: np.ndarray) -> Float[Array, "*rank rows columns"]:
    """The matrix of a convolution: its element is the tap j from the end, 0 where there is none."""
    count = taps.shape[-1]
    inside = (j >= 0) & (j < count)
    return jnp.where(inside, taps[..., count - 1 - np.clip(j, 0, count - 1)], 0)


def _samples_of(outputs: _Span, taps: int, spec: Resampling) -> _Span:
    """The samples that pixels of the result are computed from."""
    return _Span(spec.down * outputs.start, spec.down * (outputs.length - 1) + taps)


def _pixels_of(samples: _Span, taps: int, spec: Resampling) -> _Span:
    """The pixels of the image that samples are computed from."""
    first = -((spec.padding - samples.start) // spec.up)
    last = (samples.start + samples.length - 1 - spec.padding + taps - 1) // spec.up
    return _Span(first, last - first + 1)


def _samples_from(pixels: _Span, taps: int, spec: Resampling) -> _Span:
    """The samples that pixels of the image take part in."""
    first = spec.up * pixels.start + spec.padding - (taps - 1)
    return _Span(first, spec.up * (pixels.length - 1) + taps)


def _outputs_from(samples: _Span, taps: int, spec: Resampling) -> _Span:
    """The pixels of the result that samples take part in."""
    first = -((taps - 1 - samples.start) // spec.down)
    last = (samples.start + samples.length - 1) // spec.down
    return _Span(first, last - first + 1)


def _product(matrix: Array, x: Array, axis: int, *, matrix_first: bool) -> Array:
    """The matrix times the axis of x; the new axis comes first or last, the others keep their order."""
    exact = jax.lax.Precision.HIGHEST
    if matrix_first:
        return jax.lax.dot_general(matrix, x, (((1,), (axis,)), ((), ())), precision=exact)
    return jax.lax.dot_general(x, matrix, (((axis,), (1,)), ((), ())), precision=exact)


class _Separable(NamedTuple):
    """A sum of separable filters as matrices: for the rows and for the columns, each [rank, to, from]."""

    rows: Array
    columns: Array

    def transposed(self) -> "_Separable":
        return _Separable(self.rows.swapaxes(1, 2), self.columns.swapaxes(1, 2))

    def to_samples(self, tile: Float[Array, "height width channels"]) -> Float[Array, "w channels h"]:
        """From pixels to samples, in the layout in which samples are kept."""
        terms = []
        for rows, columns in zip(self.rows, self.columns, strict=True):
            halfway = _product(rows, tile, 0, matrix_first=False)  # [width, channels, h]
            terms.append(_product(columns, halfway, 0, matrix_first=True))
        return sum(terms[1:], terms[0])

    def from_samples(self, samples: Float[Array, "w channels h"]) -> Float[Array, "height width channels"]:
        """From samples to pixels."""
        terms = []
        for rows, columns in zip(self.rows, self.columns, strict=True):
            halfway = _product(columns, samples, 0, matrix_first=True)  # [width, channels, h]
            terms.append(_product(rows, halfway, 2, matrix_first=True))
        return sum(terms[1:], terms[0])


class _Tiling(NamedTuple):
    """A square image cut into tiles."""

    along: int
    """Tiles along a side of the image."""
    side: int
    """Of a tile, in pixels of the image whose tiles are counted."""

    @classmethod
    def of(cls, size: int, largest: int) -> "_Tiling":
        count = -(-size // largest)
        return cls(count, -(-size // count))


def _windows(
    x: Float[Array, "batch size size channels"], span: _Span, step: int, count: int
) -> Float[Array, "batch padded padded channels"]:
    """The image with the margin that windows need: `count` of them, each `step` pixels after the other."""
    after = step * (count - 1) + span.length + span.start - x.shape[1]
    margin = (-span.start, after, 0)
    return jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), margin, margin, (0, 0, 0)))


def _over_tiles(
    function: Callable[..., Array], inputs: list[tuple[Array, _Span, int]], count: int, *, in_sequence: bool
) -> Float[Array, "batch height width channels"]:
    """Apply a function to the windows of each tile, and put the results together.

    Args:
        function: from one window [height, width, channels] of each input to a tile.
        inputs: each an image, its window for the first tile, and the step to the next tile.
        count: tiles along a side.
        in_sequence: one tile after the other, else all at once.
    """
    batch = inputs[0][0].shape[0]
    padded = [_windows(x, span, step, count) for x, span, step in inputs]
    spans, steps = [span for _, span, _ in inputs], [step for _, _, step in inputs]
    if in_sequence:

        def one(i: Array) -> Array:
            image, row, column = i // count**2, i // count % count, i % count
            windows = [
                jax.lax.dynamic_slice(
                    x, (image, row * step, column * step, 0), (1, span.length, span.length, x.shape[3])
                )[0]
                for x, span, step in zip(padded, spans, steps, strict=True)
            ]
            return function(*windows)

        tiles = jax.lax.map(one, jnp.arange(batch * count**2))
        tiles = tiles.reshape(batch, count, count, *tiles.shape[1:])
    else:
        places = [
            np.arange(count)[:, None] * step + np.arange(span.length)
            for span, step in zip(spans, steps, strict=True)
        ]
        windows = [x[:, place][:, :, :, place] for x, place in zip(padded, places, strict=True)]
        windows = [jnp.moveaxis(x, 3, 2) for x in windows]  # [batch, count, count, height, width, channels]
        for _ in range(3):
            function = jax.vmap(function)
        tiles = function(*windows)
    _, _, _, height, width, channels = tiles.shape
    return jnp.moveaxis(tiles, 2, 3).reshape(batch, count * height, count * width, channels)


def _activated(x: Array, spec: Resampling) -> Array:
    y = jnp.where(x > 0, x, x * spec.slope) * jnp.asarray(spec.gain, x.dtype)
    return y if spec.clamp is None else jnp.clip(y, -spec.clamp, spec.clamp)


def _activation_slope(x: Array, spec: Resampling) -> Array:
    """The derivative of the activation."""
    slope = jnp.where(x > 0, jnp.asarray(spec.gain, x.dtype), jnp.asarray(spec.gain * spec.slope, x.dtype))
    if spec.clamp is None:
        return slope
    return jnp.where(jnp.abs(x * slope) <= spec.clamp, slope, 0)


def _filters(
    up_filter: Array, down_filter: Array, samples: _Span, pixels: _Span, outputs: _Span, spec: Resampling
) -> tuple[_Separable, _Separable]:
    """Up from pixels to samples, and down from samples to outputs."""
    up = _upsampling(up_filter, samples, pixels, spec)[None]
    rows, columns = (_downsampling(down_filter[:, i], outputs, samples, spec) for i in (0, 1))
    return _Separable(up, up), _Separable(rows, columns)


def _forward_tiles(
    x: Array, up_filter: Array, down_filter: Array, spec: Resampling, *, largest: int, in_sequence: bool
) -> Array:
    phases = spec.up // spec.down
    tiling = _Tiling.of(-(-spec.size // phases), largest)
    outputs = _Span(0, phases * tiling.side)
    samples = _samples_of(outputs, down_filter.shape[2], spec)
    pixels = _pixels_of(samples, up_filter.shape[0], spec)
    up, down = _filters(up_filter, down_filter, samples, pixels, outputs, spec)

    def tile(x: Array) -> Array:
        return down.from_samples(_activated(up.to_samples(x), spec))

    y = _over_tiles(tile, [(x, pixels, tiling.side)], tiling.along, in_sequence=in_sequence)
    return y[:, : spec.size, : spec.size]


def _backward_tiles(
    x: Array,
    cotangent: Array,
    filters: tuple[Array, Array],
    spec: Resampling,
    *,
    largest: int,
    in_sequence: bool,
) -> Array:
    up_filter, down_filter = filters
    tiling = _Tiling.of(x.shape[1], largest)
    own = _Span(0, tiling.side)
    samples = _samples_from(own, up_filter.shape[0], spec)
    pixels = _pixels_of(samples, up_filter.shape[0], spec)
    outputs = _outputs_from(samples, down_filter.shape[2], spec)
    up, down = _filters(up_filter, down_filter, samples, pixels, outputs, spec)
    own_up = _upsampling(up_filter, samples, own, spec)[None]
    back, onto = _Separable(own_up, own_up).transposed(), down.transposed()

    def tile(x: Array, cotangent: Array) -> Array:
        return back.from_samples(onto.to_samples(cotangent) * _activation_slope(up.to_samples(x), spec))

    inputs = [(x, pixels, tiling.side), (cotangent, outputs, tiling.side * spec.up // spec.down)]
    y = _over_tiles(tile, inputs, tiling.along, in_sequence=in_sequence)
    return y[:, : x.shape[1], : x.shape[2]]


def _branch(function: Callable[..., Array], *operands: Array) -> Array:
    """Tile after tile on a CPU, all at once elsewhere."""
    at_once = functools.partial(function, largest=_TILE["default"], in_sequence=False)
    if has_explicit_sharding(operands[0]):  # a loop over the tiles of a batch would gather it
        return at_once(*operands)
    in_sequence = functools.partial(function, largest=_TILE["cpu"], in_sequence=True)
    return platform_branch(*operands, cpu=in_sequence, default=at_once)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def filtered_leaky_relu(
    x: Float[Array, "batch height height channels"],
    up_filter: Float[Array, " up_taps"],
    down_filter: Float[Array, "rank 2 down_taps"],
    spec: Resampling,
) -> Float[Array, "batch size size channels"]:
    """Upsampling, leaky ReLU times a gain, clamp, downsampling; differentiable in reverse mode with respect to x.

    Args:
        x: square images.
        up_filter: taps of the upsampling filter, the same for rows and columns. Their sum is 1.
        down_filter: the downsampling filter as a sum of products: taps for the rows, taps for the columns.
        spec: the factors, the sizes and the activation.
    """
    up_filter, down_filter = up_filter.astype(x.dtype), down_filter.astype(x.dtype)
    return _branch(
        lambda x, up, down, **how: _forward_tiles(x, up, down, spec, **how), x, up_filter, down_filter
    )


def _forward(
    x: Array, up_filter: Array, down_filter: Array, spec: Resampling
) -> tuple[Array, tuple[Array, Array, Array]]:
    return filtered_leaky_relu(x, up_filter, down_filter, spec), (x, up_filter, down_filter)


def _backward(
    spec: Resampling, kept: tuple[Array, Array, Array], cotangent: Array
) -> tuple[Array, Array, Array]:
    x, up_filter, down_filter = kept
    up, down = up_filter.astype(x.dtype), down_filter.astype(x.dtype)
    gradient = _branch(
        lambda x, g, up, down, **how: _backward_tiles(x, g, (up, down), spec, **how), x, cotangent, up, down
    )
    return gradient, jnp.zeros_like(up_filter), jnp.zeros_like(down_filter)


filtered_leaky_relu.defvjp(_forward, _backward)
