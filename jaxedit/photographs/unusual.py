"""How unusual a face is among those that a generator draws.

The Mahalanobis length of a latent in the PCA of W,

    length² = mean over the first k coordinates of w_pca_j² / λ_j,

is about 1 for the generator's own latents. Of a latent of W+ the squares are averaged over the layers; their mean
latent would look all too usual, because the layers deviate to all sides. The percentile among the generator's own
latents says how unusual a length is: 50 for a usual face, 100 for one beyond them all.
"""

import numpy as np
from jaxtyping import Array, Float

from jaxedit.generators.protocol import Generator
from jaxedit.latents.pca import PCA
from jaxedit.latents.seed_stream import sample_w

NUM_REFERENCES = 4096
"""Latents of the generator that a face is compared with."""


def mahalanobis_length(
    w: Float[Array | np.ndarray, "batch *num_ws w_dim"], pca: PCA
) -> Float[np.ndarray, " batch"]:
    """Lengths of latents of W, or root mean squares over the layers of W+.

    Args:
        w: latents.
        pca: of the generator's W.
    """
    squares = (np.asarray(pca.leading(w) / pca.whitened_scale, np.float64) ** 2).mean(-1)
    return np.sqrt(squares if squares.ndim == 1 else squares.mean(1))


def reference_lengths(
    generator: Generator, pca: PCA, *, seed: int = 0
) -> Float[np.ndarray, " num_references"]:
    """Sorted lengths of latents that the generator draws.

    Args:
        generator: of the PCA.
        pca: of its W.
        seed: of the latents.
    """
    return np.sort(mahalanobis_length(sample_w(generator, seed, NUM_REFERENCES), pca))


def percentile(length: float, references: Float[np.ndarray, " num_references"]) -> float:
    """The share of the reference lengths, in percent, that are smaller.

    Args:
        length: of a face.
        references: sorted.

    Examples:
        >>> percentile(1.05, np.asarray([0.9, 1.0, 1.1, 1.2]))
        50.0
    """
    return 100.0 * float(np.searchsorted(references, length)) / len(references)
