"""Quantile transform of attribute values: raw values ↔ positions on a standard normal axis.

Each attribute goes through its own monotone map T with T(value) ~ N(0, 1): at the fitted values T is the rank-based
normal score

    T(v) = Φ⁻¹( (#{values < v} + #{values ≤ v}) / 2N ),

so tied values (the levels of an ordinal, yes and no) share the score of their mean rank, by their frequencies. Missing
values (NaN) do not count, and stay missing.

T is kept as a table of about a hundred knots (v_j, t_j) with
slopes d_j > 0, joined by the rational quadratic splines of Gregory and Delbourgo (1982; as in Durkan et al.,
*Neural Spline Flows*, 2019, eq. 4 to 8): increasing, continuously differentiable, and inverted in closed form.
Outside the knots T is linear, so that positions beyond every fitted value exist and can be inverted.
"""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Float, Int

from jaxedit.errors import InputError
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["values", "positions", "slopes"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class QuantileTransform:
    """Fitted monotone maps, one for each attribute; a pytree.

    Attributes:
        values: v, the knots in each attribute's own unit. Non-decreasing; knots that ties made equal are passed over.
        positions: t, the knots in standard deviations of N(0, 1).
        slopes: d, dT/dv at the knots, positive.
    """

    # Unflattening a pytree puts JAX's own stand-ins into the fields, so their types are not enforced.
    __no_type_check__ = True

    values: Float[Array, "num_attributes num_knots"]
    positions: Float[Array, "num_attributes num_knots"]
    slopes: Float[Array, "num_attributes num_knots"]

    def transform(
        self, values: Float[Array | np.ndarray, "*batch num_attributes"]
    ) -> Float[Array, "*batch num_attributes"]:
        """Positions on the normal axes, T(v), of raw values; NaN of NaN.

        Raises:
            InputError: if the last dimension is not the number of attributes.
        """
        self._check(values, "values")
        return _transform(self, jnp.asarray(values))

    def inverse_transform(
        self, positions: Float[Array | np.ndarray, "*batch num_attributes"]
    ) -> Float[Array, "*batch num_attributes"]:
        """Raw values, T⁻¹(t), of positions on the normal axes.

        Raises:
            InputError: if the last dimension is not the number of attributes.
        """
        self._check(positions, "positions")
        return _inverse_transform(self, jnp.asarray(positions))

    def _check(self, array: Array | np.ndarray, name: str) -> None:
        if array.shape[-1:] != self.values.shape[:1]:
            raise InputError(
                f"{name}: expected {self.values.shape[0]} attributes in the last dimension, got shape {array.shape}"
            )

    def save(self, folder: str | Path) -> Path:
        """Write a checkpoint folder of kind "quantile_transform"."""
        arrays = {n: getattr(self, n) for n in ("values", "positions", "slopes")}
        return save_checkpoint(folder, kind="quantile_transform", config={}, arrays=arrays)

    @classmethod
    def load(cls, folder: str | Path) -> "QuantileTransform":
        """Read a folder written by `save`.

        Raises:
            CheckpointError: if the folder is missing, damaged, or of another kind.
        """
        _, arrays = load_checkpoint(folder, kind="quantile_transform")
        return cls(**jax.tree.map(jnp.asarray, arrays))


def fit_quantile_transform(
    values: Float[Array | np.ndarray, "num_samples num_attributes"],
    attribute_names: Sequence[str] | None = None,
    *,
    num_knots: int = 64,
) -> QuantileTransform:
    """Fit the monotone map of each attribute.

    Args:
        values: raw values, in each attribute's own unit; NaN where a value is missing.
        attribute_names: for error messages.
        num_knots: size of the table. The knots are evenly spaced in position between the lowest and the highest
            normal score, about ±4 for 20,000 samples.

    Raises:
        InputError: if an attribute has infinity or fewer than two known values, one value in all samples but a few, or
            there are fewer than two samples.

    Examples:
        The middle value of a skewed attribute becomes 0, and its distribution N(0, 1):

        >>> import numpy as np
        >>> ages = np.random.default_rng(0).gamma(4.0, 10.0, (1001, 1)).astype("float32")
        >>> transform = fit_quantile_transform(ages, ["age"])
        >>> positions = transform.transform(ages)
        >>> abs(float(positions.mean())) < 0.01, abs(float(positions.std()) - 1) < 0.01
        (True, True)
        >>> bool(np.allclose(transform.inverse_transform(positions), ages, rtol=1e-3))
        True
    """
    if values.ndim != 2 or len(values) < 2:
        raise InputError(
            f"values: expected [num_samples, num_attributes] with two samples or more, got {values.shape}"
        )
    names = attribute_names if attribute_names is not None else [f"#{i}" for i in range(values.shape[1])]
    if len(names) != values.shape[1]:
        raise InputError(f"attribute_names: expected {values.shape[1]}, got {len(names)}")
    values = np.asarray(values, np.float32)
    known = (~np.isnan(values)).sum(0)
    for name, column, count in zip(names, values.T, known, strict=True):
        if np.isinf(column).any():
            raise InputError(f"values of attribute '{name}': expected finite numbers or NaN, got infinity")
        if count < 2:
            raise InputError(
                f"values of attribute '{name}': expected two known values or more, got {count} and "
                f"{len(column) - count} missing"
            )
    highest = np.asarray([_highest(int(count)) for count in known], np.float32)
    quantile_transform, varies = _fit(jnp.asarray(values), known.astype(np.int32), highest, num_knots)
    for name, column, does_vary in zip(names, values.T, np.asarray(varies), strict=True):
        if not does_vary:
            raise InputError(_one_value(name, column[~np.isnan(column)]))
    return quantile_transform


def _highest(count: int) -> float:
    """Share of the samples beyond the table on either side. The outermost scores rest on single samples: the table ends
    where about ten are left beyond it."""
    return min(max(count / 20, 0.5), 10.0) / count


def _one_value(name: str, column: Float[np.ndarray, " num_known"]) -> str:
    found, counts = np.unique(column, return_counts=True)
    if len(found) == 1:
        return f"values of attribute '{name}': expected a variance, got one value in all samples"
    least = int(_highest(len(column)) * len(column)) + 1
    return (
        f"values of attribute '{name}': expected a variance, got {found[counts.argmax()]:g} in {counts.max()} of "
        f"{len(column)} samples; another value is needed in {least} samples or more"
    )


@functools.partial(jax.jit, static_argnames="num_knots")
def _fit(
    values: Float[Array, "num_samples num_attributes"],
    known: Int[Array, " num_attributes"],
    shares: Float[Array, " num_attributes"],
    num_knots: int,
) -> tuple[QuantileTransform, Array]:
    """The tables, from the number of known values and the share beyond the table; whether each attribute varies."""

    def fit_one(column: Float[Array, " num_samples"], n: Array, share: Array) -> tuple[Array, Array, Array]:
        highest = -ndtri(share)
        ranks = n * ndtr(jnp.linspace(-highest, highest, num_knots)) - 0.5
        indices = jnp.clip(jnp.round(ranks).astype(int), 0, n - 1)
        ordered = jnp.sort(column)  # NaN comes last
        knots = ordered[indices]
        below = jnp.searchsorted(ordered, knots, side="left")
        up_to = jnp.searchsorted(ordered, knots, side="right")
        # Near p = 1 float32 has no digits left for 1 - p, so the upper half is mirrored from the lower.
        score = ndtri(jnp.minimum(below + up_to, 2 * n - below - up_to) / (2.0 * n))
        positions = jnp.where(below + up_to > n, -score, score)
        return knots, positions, _slopes(knots, positions)

    knots, positions, slopes = jax.vmap(fit_one)(values.T, known, shares)
    return QuantileTransform(knots, positions, slopes), knots[:, 0] < knots[:, -1]


@jax.jit
def monotone_table(
    values: Float[Array, "num_attributes num_knots"], positions: Float[Array, "num_attributes num_knots"]
) -> QuantileTransform:
    """The maps through given knots. Both rows do not decrease; where one is tied, so is the other."""
    return QuantileTransform(values, positions, jax.vmap(_slopes)(values, positions))


def _slopes(
    values: Float[Array, " num_knots"], positions: Float[Array, " num_knots"]
) -> Float[Array, " num_knots"]:
    """Positive slopes at the knots: inside, the geometric mean of the nearest bins of non-zero width on both sides;
    at the ends, which the linear tails continue, the secant over the outer eighth of the table."""
    last = len(values) - 2
    widths, heights = jnp.diff(values), jnp.diff(positions)
    secants = heights / jnp.where(widths > 0, widths, 1.0)
    bins = jnp.arange(last + 1)
    before = lax.cummax(jnp.where(widths > 0, bins, -1))
    after = lax.cummin(jnp.where(widths > 0, bins, last + 1), reverse=True)
    left = jnp.concatenate([after[:1], jnp.where(before < 0, after, before)]).clip(0, last)
    right = jnp.concatenate([jnp.where(after > last, before, after), before[-1:]]).clip(0, last)
    slopes = jnp.sqrt(secants[left]) * jnp.sqrt(secants[right])
    outer = max(len(values) // 8, 1)
    for end, inner in ((0, outer), (-1, -1 - outer)):
        width = values[end] - values[inner]
        secant = (positions[end] - positions[inner]) / jnp.where(width == 0, 1.0, width)
        slopes = slopes.at[end].set(jnp.where(width == 0, slopes[end], secant))
    return slopes


@jax.jit
def _transform(
    transform: QuantileTransform, values: Float[Array, "*batch num_attributes"]
) -> Float[Array, "*batch num_attributes"]:
    def one(values: Array, knots: Array, positions: Array, slopes: Array) -> Array:
        j = _bin(knots, values)
        width, height, first, second = _bin_shape(knots, positions, slopes)
        x = (values - knots[j]) / width[j]
        x = jnp.clip(x, 0.0, 1.0)
        product = x * (1 - x)
        inside = positions[j] + height[j] * (x * x + first[j] * product) / (
            1 + (first[j] + second[j] - 2) * product
        )
        below = positions[0] + slopes[0] * (values - knots[0])
        above = positions[-1] + slopes[-1] * (values - knots[-1])
        return jnp.where(values < knots[0], below, jnp.where(values >= knots[-1], above, inside))

    return _each_attribute(one, transform, values)


@jax.jit
def _inverse_transform(
    transform: QuantileTransform, positions: Float[Array, "*batch num_attributes"]
) -> Float[Array, "*batch num_attributes"]:
    def one(t: Array, knots: Array, positions: Array, slopes: Array) -> Array:
        j = _bin(positions, t)
        width, height, first, second = _bin_shape(knots, positions, slopes)
        y = jnp.clip((t - positions[j]) / height[j], 0.0, 1.0)
        # The root in [0, 1] of a x² + b x + c = 0, in the form that does not cancel.
        excess = y * (first[j] + second[j] - 2)
        a, b, c = 1 - first[j] + excess, first[j] - excess, -y
        root = jnp.sqrt(jnp.maximum(b * b - 4 * a * c, 0.0))
        inside = knots[j] + width[j] * jnp.clip(-2 * c / jnp.maximum(b + root, 1e-30), 0.0, 1.0)
        below = knots[0] + (t - positions[0]) / slopes[0]
        above = knots[-1] + (t - positions[-1]) / slopes[-1]
        return jnp.where(t < positions[0], below, jnp.where(t >= positions[-1], above, inside))

    return _each_attribute(one, transform, positions)


def _each_attribute(one, transform: QuantileTransform, array: Array) -> Array:  # type: ignore[no-untyped-def]
    columns = array.reshape(-1, array.shape[-1]).T
    return jax.vmap(one)(columns, transform.values, transform.positions, transform.slopes).T.reshape(
        array.shape
    )


def _bin(knots: Float[Array, " num_knots"], x: Float[Array, " n"]) -> Array:
    """Index of the bin that holds x. The side "right" passes over bins of no width."""
    return jnp.clip(jnp.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)


def _bin_shape(values: Array, positions: Array, slopes: Array) -> tuple[Array, Array, Array, Array]:
    """Width and height of each bin, and the slopes at its two ends relative to its secant."""
    width, height = jnp.diff(values), jnp.diff(positions)
    empty = width <= 0
    width, height = jnp.where(empty, 1.0, width), jnp.where(empty, 1.0, height)
    return width, height, slopes[:-1] * (width / height), slopes[1:] * (width / height)
