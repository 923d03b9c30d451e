"""Labels as the published code prepares them: a histogram of each attribute, made equal to that of a normal one.

The histogram of the known values v has 201 bins of one width from the lowest to the highest. With F the share of the
values up to the edge of a bin,

    T(edge) = Φ⁻¹( Φ(−e) + F(edge) · (Φ(e) − Φ(−e)) ),        e = 3.1,

and T is monotone between edges. So the labels end at ±3.1, and values within a bin keep their distances. Logits are
clipped to ±40 before. (Lesné et al. 2023, the code that they released; `jaxedit.labels.quantile_transform` ranks
values instead.)
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Float

from jaxedit.attributes.classifier import LOGIT_UNITS
from jaxedit.errors import InputError
from jaxedit.labels.quantile_transform import QuantileTransform, monotone_table

NUM_BINS = 201
END = 3.1
"""Position of the lowest and of the highest value, in standard deviations."""

LARGEST_LOGIT = 40.0


def fit_histogram_transform(
    values: Float[np.ndarray, "num_samples num_attributes"],
    attribute_names: Sequence[str],
    attribute_units: Sequence[str],
) -> QuantileTransform:
    """Fit the monotone map of each attribute.

    Args:
        values: raw values, in each attribute's own unit; NaN where a value is missing.
        attribute_names: for error messages.
        attribute_units: logits are clipped.

    Raises:
        InputError: if an attribute has infinity, or one value alone.

    Examples:
        >>> import numpy as np
        >>> ages = np.random.default_rng(0).gamma(4.0, 10.0, (1000, 1)).astype("float32")
        >>> transform = fit_histogram_transform(ages, ["age"], ["years"])
        >>> positions = transform.transform(ages)
        >>> round(float(positions.min()), 2), round(float(positions.max()), 2)
        (-3.1, 3.1)
    """
    knots = np.empty((values.shape[1], NUM_BINS + 1), np.float32)
    positions = np.empty_like(knots)
    for i, (name, unit) in enumerate(zip(attribute_names, attribute_units, strict=True)):
        column = np.asarray(values[:, i], np.float64)
        column = column[~np.isnan(column)]
        if not len(column) or np.isinf(column).any() or column.min() == column.max():
            raise InputError(f"values of attribute '{name}': expected finite numbers that vary, or NaN")
        if unit in LOGIT_UNITS:
            column = column.clip(-LARGEST_LOGIT, LARGEST_LOGIT)
        counts, edges = np.histogram(column, NUM_BINS)
        share = np.concatenate([[0.0], counts.cumsum() / len(column)])
        low = float(ndtr(-END))
        # Edges that no value lies between are one knot, so that the map can be inverted.
        kept = np.concatenate([[True], counts > 0])
        found = np.stack([edges[kept], np.asarray(ndtri(low + share[kept] * (1 - 2 * low)))])
        knots[i], positions[i] = np.pad(found, ((0, 0), (0, len(kept) - kept.sum())), mode="edge")
    return monotone_table(jnp.asarray(knots), jnp.asarray(positions))
