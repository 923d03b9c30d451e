"""StyleGAN2's convolutions as pure functions of NHWC arrays.

Modulation multiplies the *input* by the style and demodulation the *output*, as in the second half of section 2.2 of
Karras et al., *Analyzing and Improving the Image Quality of StyleGAN* (CVPR 2020), instead of making a kernel for each
image: the whole batch then goes through one plain convolution, which every XLA backend has a fast library call for,
and both products are fused into the passes over memory that padding and activation need anyway.

The upsampling convolution (zeros between the pixels, 3×3, then the filter [1, 3, 3, 1] both ways) has two forms:

* `conv_up` splits the transposed convolution into its four phases, 9 products for each pixel of the input, and filters
  those: best where there are many channels and arithmetic is what costs.
* `conv_up_merged` merges the horizontal half of the filter into the kernel, 18 products for each pixel of the input;
  the vertical half remains, and the columns come out in their order: best where there are few channels and memory is
  what costs.

On two cores of an Intel Xeon, 512 to 256 channels at 64²: 53 ms against 89 ms; 64 to 32 channels at 512²: 351 ms
against 225 ms. With the whole filter in the kernel (36 products) it is 153 ms and 207 ms. XLA's own transposed
convolution takes 65 ms instead of 53 ms, and 128 to 64 channels at 256² 283 ms instead of 134 ms. Whole blocks in
stripes of rows that stay in the cache save memory (80 MB at 1024²) but no time: 0.78 s an image against 0.70 s.

Derivatives are those of reverse mode (`jax.grad`, `jax.vjp`): `conv_2d` has no forward mode.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxedit.nn.convolution import conv_2d

MERGED_CHANNELS = 128
"""Up to so many input channels the upsampling convolution is merged with its filter."""


def demodulation(
    weight: Float[Array, "3 3 inner outer"], style: Float[Array, "batch inner"]
) -> Float[Array, "batch outer"]:
    """What the output is multiplied by so that it keeps unit variance: 1 / ‖kernel · style‖ for each output channel."""
    # Nine products added up in one pass; a reduction over the leading axes takes a CPU twenty times as long.
    power = sum((jnp.square(weight[i, j]) for i in range(3) for j in range(3)), start=jnp.zeros(()))
    product = jnp.matmul(jnp.square(style), power, precision=jax.lax.Precision.HIGHEST)
    return jax.lax.rsqrt(product + 1e-8)


def conv_valid(
    x: Float[Array, "batch padded_height padded_width inner"],
    weight: Float[Array, "rows columns inner outer"],
) -> Float[Array, "batch height width outer"]:
    """The convolution (correlation) without padding."""
    return conv_2d(x, weight, (1, 1), ((0, 0), (0, 0)))


def conv_same(
    x: Float[Array, "batch height width inner"], weight: Float[Array, "3 3 inner outer"]
) -> Float[Array, "batch height width outer"]:
    """The convolution (correlation) with zeros beyond the image."""
    return conv_2d(x, weight, (1, 1), ((1, 1), (1, 1)))


def interleave(
    phases: tuple[tuple[Array, Array], tuple[Array, Array]],
) -> Float[Array, "batch height_2 width_2 channels"]:
    """The image of which `phases[i][j]` holds the rows 2r + i and the columns 2c + j."""
    batch, height, width, channels = phases[0][0].shape
    rows = [jnp.stack(pair, axis=3).reshape(batch, height, 2 * width, channels) for pair in phases]
    return jnp.stack(rows, axis=2).reshape(batch, 2 * height, 2 * width, channels)


def _filter_phases(even: Array, odd: Array, axis: int) -> tuple[Array, Array]:
    """[1, 3, 3, 1] / 4 along an axis of 2n + 1 values, given as n + 1 even and n odd ones: n even and n odd results."""
    count = odd.shape[axis]
    margin = [(1, 1) if i == axis else (0, 0) for i in range(odd.ndim)]
    odd = jnp.pad(odd, margin)

    def part(x: Array, start: int) -> Array:
        return jax.lax.slice_in_dim(x, start, start + count, axis=axis)

    low, high = part(even, 0), part(even, 1)
    before, here, after = part(odd, 0), part(odd, 1), part(odd, 2)
    return 0.25 * (before + high) + 0.75 * (low + here), 0.25 * (low + after) + 0.75 * (high + here)


def conv_up(
    x: Float[Array, "batch height width inner"], weight: Float[Array, "3 3 inner outer"]
) -> Float[Array, "batch height_2 width_2 outer"]:
    """Twice the height and width: transposed convolution of stride 2, then the filter [1, 3, 3, 1] both ways."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    even_even = conv_valid(padded, weight[::-2, ::-2])
    even_odd = conv_valid(padded[:, :, 1:-1], weight[::-2, 1:2])
    odd_even = conv_valid(padded[:, 1:-1], weight[1:2, ::-2])
    odd_odd = conv_valid(x, weight[1:2, 1:2])
    # Read several times each by the second filter, so made once.
    columns = jax.lax.optimization_barrier(
        (_filter_phases(even_even, even_odd, 2), _filter_phases(odd_even, odd_odd, 2))
    )
    by_column = [_filter_phases(columns[0][j], columns[1][j], 1) for j in range(2)]
    return interleave(((by_column[0][0], by_column[1][0]), (by_column[0][1], by_column[1][1])))


def merged_kernels(
    weight: Float[Array, "3 3 inner outer"],
) -> tuple[Float[Array, "2 3 inner outer_2"], Float[Array, "1 3 inner outer_2"]]:
    """The kernels of `conv_up_merged`, for even and for odd rows; their channels are (column phase, outer)."""
    left, middle, right = weight[:, 0], weight[:, 1], weight[:, 2]
    # A row of the kernel convolved with the filter: phase p of the columns sees the input's column c + d through tap
    # p + 2 − 2d.
    taps = (
        0.25 * left,
        0.75 * left + 0.25 * middle,
        0.75 * (left + middle) + 0.25 * right,
        0.25 * left + 0.75 * (middle + right),
        0.25 * middle + 0.75 * right,
        0.25 * right,
    )
    merged = jnp.stack(
        [jnp.concatenate([taps[2 - 2 * d], taps[3 - 2 * d]], axis=-1) for d in (-1, 0, 1)], axis=1
    )
    return merged[::-2], merged[1:2]


def conv_up_merged(
    padded: Float[Array, "batch padded_height padded_width inner"],
    kernels: tuple[Float[Array, "2 3 inner outer_2"], Float[Array, "1 3 inner outer_2"]],
) -> Float[Array, "batch height_2 width_2 outer"]:
    """`conv_up` with half of the filter in the kernels; the input comes with a margin of one pixel."""
    even, odd = (conv_valid(padded, kernel) for kernel in kernels)
    batch, height, width, channels = even.shape
    height -= 1
    before, here, after = (odd[:, start : start + height] for start in range(3))
    upper = 0.25 * (before + even[:, 1:]) + 0.75 * (even[:, :-1] + here)
    lower = 0.25 * (even[:, :-1] + after) + 0.75 * (even[:, 1:] + here)
    # (width, column phase) is the order of the pixels already. Two steps, which explicit sharding of the batch allows.
    split = (batch, height, width, 2, channels // 2)
    rows = [row.reshape(split).reshape(batch, height, 2 * width, channels // 2) for row in (upper, lower)]
    return jnp.stack(rows, axis=2).reshape(batch, 2 * height, 2 * width, channels // 2)


def upsample(
    padded: Float[Array, "batch padded_height padded_width channels"],
) -> Float[Array, "batch height_2 width_2 channels"]:
    """Twice the height and width by the filter [1, 3, 3, 1]; the input comes with a margin of one pixel."""

    def halves(x: Array, axis: int) -> tuple[Array, Array]:
        count = x.shape[axis] - 2
        before, here, after = (jax.lax.slice_in_dim(x, start, start + count, axis=axis) for start in range(3))
        return 0.25 * before + 0.75 * here, 0.75 * here + 0.25 * after

    left, right = halves(padded, 2)
    (top_left, bottom_left), (top_right, bottom_right) = halves(left, 1), halves(right, 1)
    return interleave(((top_left, top_right), (bottom_left, bottom_right)))
