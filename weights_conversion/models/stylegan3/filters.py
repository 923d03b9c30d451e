"""Two-dimensional filters as sums of separable ones."""

import numpy as np

TOLERANCE = 1e-6
"""Terms below this, relative to the largest, are left out. A radial filter of StyleGAN3 has two to four above."""


def separable_terms(filter_2d: np.ndarray) -> np.ndarray:
    """A filter [rows, columns] as a sum of products: the singular value decomposition.

    Returns:
        float32 [rank, 2, taps]: for each term the taps for the rows and the taps for the columns.
    """
    rows, values, columns = np.linalg.svd(np.asarray(filter_2d, np.float64))
    count = max(int(np.sum(values > TOLERANCE * values[0])), 1)
    scale = np.sqrt(values[:count, None])
    return np.stack([rows.T[:count] * scale, columns[:count] * scale], axis=1).astype(np.float32)
