"""The decompositions behind a PCA, of latents on one device, on many, or in batches.

Each device reduces its own rows, to the sums of a covariance or to the triangle of a QR decomposition. What is
decomposed then is a matrix as wide as the latents.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from jaxedit.parallel import to_local

# Float32 products in full precision: TPUs and recent GPUs round the factors otherwise.
_HIGHEST = lax.Precision.HIGHEST

_COLUMNS = 128
"""Columns of the blocks of a covariance: those below its diagonal are not computed."""

Rows = tuple[Mesh, tuple[str, ...]]
"""A mesh, and those of its axes over which rows are spread."""


def rows_of(w: Float[Array, "num_samples w_dim"]) -> Rows | None:
    """How the rows are spread over devices; None if they are not."""
    sharding = w.sharding
    if not isinstance(sharding, NamedSharding) or not sharding.spec or sharding.spec[0] is None:
        return None
    assert isinstance(sharding.mesh, Mesh)  # that of an array which exists
    axes = sharding.spec[0]
    return sharding.mesh, axes if isinstance(axes, tuple) else (axes,)


_Reduction = Callable[[Array, int, Callable[[Array], Array]], tuple[Array, Array]]
"""Of the rows of a device, the number of all samples, and a sum over devices: the mean, and what is decomposed."""


def decompose(
    w: Float[Array, "num_samples w_dim"], *, by_covariance: bool = False
) -> tuple[Float[Array, " w_dim"], Float[Array, "w_dim w_dim"], Float[Array, " w_dim"], Array]:
    """Mean, directions (rows), variances, and whether all was finite.

    By eigenvalues of the covariance. Or by singular values of the centered latents, through R of their QR
    decomposition: backward stable, where a float32 covariance squares the condition number.
    """
    reduction, decomposition = (_gram, _eigen) if by_covariance else (_triangle, _singular)
    rows = rows_of(w)
    if rows is None:
        # As one program, whose parts need not wait for each other.
        found = _fit_whole(w, reduction, decomposition)
        return to_local(found) if len(w.sharding.device_set) > 1 else found
    return decomposition(*to_local(_reduce_spread(w, rows, reduction)), len(w))


@functools.partial(jax.jit, static_argnames=("reduction", "decomposition"))
def _fit_whole(
    w: Float[Array, "num_samples w_dim"], reduction: _Reduction, decomposition: Callable[..., Any]
) -> tuple[Array, Array, Array, Array]:
    return decomposition(*reduction(w, len(w), lambda total: total), len(w))


@functools.partial(jax.jit, static_argnames=("rows", "reduction"))
def _reduce_spread(
    w: Float[Array, "num_samples w_dim"], rows: Rows, reduction: _Reduction
) -> tuple[Array, Array]:
    """A reduction on each device, and then of all of them: of triangles together, that is the R of the whole."""
    mesh, axes = rows

    def own(part: Array) -> tuple[Array, Array]:
        mean, found = reduction(part, len(w), lambda total: lax.psum(total, axes))
        if reduction is _gram:
            return mean, found
        with jax.default_matmul_precision("highest"):
            return mean, jnp.linalg.qr(lax.all_gather(found, axes, tiled=True), mode="r")

    return jax.shard_map(
        own, mesh=mesh, in_specs=PartitionSpec(axes), out_specs=PartitionSpec(), check_vma=False
    )(w)


def _mean(w: Array, num_samples: int, add: Callable[[Array], Array]) -> Float[Array, " w_dim"]:
    """Over all samples. It is taken twice, so that a large one costs no digits."""
    mean = add(w.sum(0)) / num_samples
    return mean + add((w - mean).sum(0)) / num_samples


def _triangle(
    w: Float[Array, "num_rows w_dim"], num_samples: int, add: Callable[[Array], Array]
) -> tuple[Float[Array, " w_dim"], Float[Array, "r w_dim"]]:
    """Mean over all samples, and R of the QR decomposition of these centered rows."""
    with jax.default_matmul_precision("highest"):
        mean = _mean(w, num_samples, add)
        return mean, jnp.linalg.qr(w - mean, mode="r")


def _gram(
    w: Float[Array, "num_rows w_dim"], num_samples: int, add: Callable[[Array], Array]
) -> tuple[Float[Array, " w_dim"], Float[Array, "w_dim w_dim"]]:
    """Mean over all samples, and the sum of the outer products of them, centered."""
    mean = _mean(w, num_samples, add)
    x, width = w - mean, w.shape[1]
    rows = []
    for start in range(0, width, _COLUMNS):
        block = lax.dot_general(
            x[:, start : start + _COLUMNS], x[:, start:], (((0,), (0,)), ((), ())), precision=_HIGHEST
        )
        rows.append(jnp.pad(block, ((0, 0), (start, 0))))
    upper = jnp.triu(jnp.concatenate(rows))
    return mean, add(upper + jnp.triu(upper, 1).T)


@functools.partial(jax.jit, static_argnames="num_samples")
def _eigen(
    mean: Float[Array, " w_dim"], gram: Float[Array, "w_dim w_dim"], num_samples: int
) -> tuple[Array, Array, Array, Array]:
    """Mean, directions, variances and whether all is finite, from mean and outer products."""
    with jax.default_matmul_precision("highest"):
        variance, directions = jnp.linalg.eigh(gram / max(num_samples - 1, 1))
    finite = jnp.isfinite(gram).all() & jnp.isfinite(variance).all() & jnp.isfinite(mean).all()
    return mean, _signed(directions.T[::-1]), jnp.maximum(variance[::-1], 0), finite


@functools.partial(jax.jit, static_argnames="num_samples")
def _singular(
    mean: Float[Array, " w_dim"], r: Float[Array, "r w_dim"], num_samples: int
) -> tuple[Array, Array, Array, Array]:
    """Mean, directions, variances and whether all is finite, from mean and R."""
    w_dim = len(mean)
    # Fewer samples than dimensions: zero rows complete the basis.
    r = jnp.zeros((w_dim, w_dim), r.dtype).at[: r.shape[0]].set(r)
    with jax.default_matmul_precision("highest"):
        _, singular_values, components = jnp.linalg.svd(r)
    finite = jnp.isfinite(singular_values).all() & jnp.isfinite(mean).all()
    return mean, _signed(components), singular_values**2 / max(num_samples - 1, 1), finite


def _signed(directions: Float[Array, "count w_dim"]) -> Float[Array, "count w_dim"]:
    """With the entry of largest magnitude of each row positive."""
    largest = jnp.take_along_axis(directions, jnp.abs(directions).argmax(1, keepdims=True), axis=1)
    return directions * jnp.where(largest < 0, -1.0, 1.0)


@functools.partial(jax.jit, static_argnames="rows")
def moments(
    w: Float[Array, "batch w_dim"],
    mean: Float[Array | np.ndarray, " w_dim"],
    whitener: Float[Array | np.ndarray, "w_dim w_dim"],
    rows: Rows | None,
) -> tuple[Float[Array, " w_dim"], Float[Array, "w_dim w_dim"]]:
    """Σx and Σxxᵀ of x = (w − mean) whitener."""

    def own(w: Array, mean: Array, whitener: Array) -> tuple[Array, Array]:
        x = jnp.matmul(w - mean, whitener, precision=_HIGHEST)
        sums = x.sum(0), jnp.matmul(x.T, x, precision=_HIGHEST)
        return sums if rows is None else lax.psum(sums, rows[1])

    mean, whitener = jnp.asarray(mean), jnp.asarray(whitener)
    if rows is None:
        return own(w, mean, whitener)
    specs = (PartitionSpec(rows[1]), PartitionSpec(), PartitionSpec())
    return jax.shard_map(own, mesh=rows[0], in_specs=specs, out_specs=PartitionSpec(), check_vma=False)(
        w, mean, whitener
    )
