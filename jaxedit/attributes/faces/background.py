"""What lies behind a person in a face image aligned as FFHQ is: a descriptor of its colors."""

import functools

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.nn.resize import resample_box

_GRID = 32
_WHOLE = (0.0, 0.0, 1.0, 1.0)


class BackgroundColors(nnx.Module):
    """Colors outside the head and the shoulders, on a grid of 32 × 32.

    The Euclidean distance of two descriptors is the root of the mean squared difference of their colors in [-1, 1],
    weighted by how surely a cell is background: 0 within an ellipse around the head (the same for all faces, which are
    aligned) and below the chin, 1 at some distance from it. Long hair and wide hats reach into it.

    Examples:
        >>> import jax.numpy as jnp
        >>> from jaxedit.attributes.faces.background import BackgroundColors
        >>> describe = BackgroundColors()
        >>> black, white = describe(-jnp.ones((1, 64, 64, 3))), describe(jnp.ones((1, 64, 64, 3)))
        >>> round(float(jnp.linalg.norm(white - black) / 3**0.5), 2)
        2.0
    """

    def __call__(self, images: Float[Array, "batch side side 3"]) -> Float[Array, "batch num_values"]:
        """The descriptor of images in [-1, 1]."""
        cells = resample_box(jnp.clip(images, -1, 1), _WHOLE, (_GRID, _GRID))
        return (cells * background_weights()[..., None]).reshape(len(images), -1)


@functools.cache
def background_weights() -> Float[np.ndarray, "rows columns"]:
    """√weight of each cell; the squares sum to one."""
    y, x = (np.mgrid[:_GRID, :_GRID] + 0.5) / _GRID
    head = np.sqrt(((x - 0.5) / 0.40) ** 2 + ((y - 0.46) / 0.50) ** 2)
    weight = np.clip((head - 1) / 0.15, 0, 1) * np.clip((0.80 - y) / 0.1, 0, 1)
    return np.sqrt(weight / weight.sum()).astype(np.float32)
