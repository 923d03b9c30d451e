"""Small images of many latents, in batches of one size: memory stays constant, and one program is compiled."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped, UInt8
from tqdm import tqdm

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator
from jaxedit.images import to_uint8
from jaxedit.nn.resize import average_pool, resample


def render_thumbnails(
    generator: Generator,
    w: Float[Array | np.ndarray, "num_latents *style w_dim"],
    size: int,
    *,
    batch_size: int = 4,
    progress: str | None = None,
) -> UInt8[np.ndarray, "num_latents {size} {size} 3"]:
    """Render latents as small images, without aliasing.

    Args:
        generator: makes the images.
        w: latents of W or W+.
        size: height and width of the thumbnails.
        batch_size: images that are made at once.
        progress: text of the progress bar; None for no bar.

    Returns:
        RGB in host memory.

    Raises:
        InputError: if `size` or `batch_size` is not positive, w does not fit the generator, or its images are not
            square RGB.
    """
    if size < 1 or batch_size < 1:
        raise InputError(f"size and batch_size: expected positive numbers, got {size} and {batch_size}")
    thumbnails = np.empty((len(w), size, size, 3), np.uint8)
    with tqdm(total=len(w), desc=progress, unit="image", disable=progress is None) as bar:
        for rows, batch in padded_batches(w, batch_size):
            images = _thumbnails(size, generator, batch)
            thumbnails[rows] = np.asarray(images)[: rows.stop - rows.start]
            bar.update(rows.stop - rows.start)
    return thumbnails


def padded_batches(
    rows: Shaped[Array | np.ndarray, "num_rows *shape"], batch_size: int
) -> Iterator[tuple[slice, Float[Array, "batch *shape"]]]:
    """Batches of one size as float32, each with the slice of its rows. The last is filled up with its last row."""
    # No larger than the number of rows: a CPU makes images one after the other, and would make the padding too.
    batch_size = min(batch_size, len(rows))
    for start in range(0, len(rows), batch_size):
        stop = min(start + batch_size, len(rows))
        batch = jnp.asarray(rows[start:stop], jnp.float32)
        missing = batch_size - (stop - start)
        yield slice(start, stop), jnp.concatenate([batch, *[batch[-1:]] * missing])


@partial(jax.jit, static_argnums=0)
def _thumbnails(
    size: int, generator: Generator, w: Float[Array, "batch *style w_dim"]
) -> UInt8[Array, "batch {size} {size} 3"]:
    images = generator.synthesis(w)
    if images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise InputError(
            f"generator: expected one of square RGB images, got one of shape {list(images.shape[1:])}"
        )
    return to_uint8(downscale(images, size))


def downscale(images: Float[Array, "batch side side 3"], size: int) -> Float[Array, "batch {size} {size} 3"]:
    """Square images in [-1, 1] at another size: means over whole pixels where the sizes divide, else a cubic filter."""
    images = jnp.clip(images, -1, 1)
    side = images.shape[1]
    return average_pool(images, side // size) if side % size == 0 else resample(images, size, kind="cubic")
