"""Principal components of the latent space W.

With mean μ and covariance C = V diag(λ) Vᵀ, λ₁ ≥ λ₂ ≥ …, the PCA coordinates of a latent are

    w_pca = (w − μ) V,        w = μ + w_pca Vᵀ,        Var[w_pca_j] = λ_j.

All `w_dim` directions are kept, so the map is a rotation and loses nothing; the first `num_components` coordinates
go through the axes, the rest (the tail) pass by untouched (Lesné et al. 2023, section 3).
"""

import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxedit.checkpoint import load_checkpoint, save_checkpoint
from jaxedit.errors import InputError

# Float32 products in full precision: TPUs and recent GPUs round the factors otherwise.
_HIGHEST = lax.Precision.HIGHEST


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["mean", "components", "explained_variance"],
    meta_fields=["num_components"],
)
@dataclasses.dataclass(frozen=True)
class PCA:
    """A fitted PCA; a pytree.

    Attributes:
        mean: μ, float32.
        components: Vᵀ, one orthonormal direction a row, by falling variance. Signs are fixed: the entry of largest
            magnitude of each direction is positive.
        explained_variance: λ, with the divisor `num_samples - 1`.
        num_components: k, how many coordinates go through the axes. Static.
    """

    # Unflattening a pytree puts JAX's own stand-ins into the fields, so their types are not enforced.
    __no_type_check__ = True

    mean: Float[Array, " w_dim"]
    components: Float[Array, "w_dim w_dim"]
    explained_variance: Float[Array, " w_dim"]
    num_components: int

    @property
    def w_dim(self) -> int:
        """Width of the latents."""
        return self.mean.shape[-1]

    def transform(self, w: Float[Array | np.ndarray, "*batch w_dim"]) -> Float[Array, "*batch w_dim"]:
        """PCA coordinates, w_pca = (w − μ) V.

        Raises:
            InputError: if the width is not that of the fitted latents.
        """
        if w.shape[-1:] != (self.w_dim,):
            raise InputError(f"w: expected latents of width {self.w_dim}, got shape {w.shape}")
        return jnp.matmul(w - self.mean, self.components.T, precision=_HIGHEST)

    def inverse_transform(
        self, w_pca: Float[Array | np.ndarray, "*batch w_dim"]
    ) -> Float[Array, "*batch w_dim"]:
        """Latents, w = μ + w_pca Vᵀ.

        Raises:
            InputError: if the width is not that of the fitted latents.
        """
        if w_pca.shape[-1:] != (self.w_dim,):
            raise InputError(f"w_pca: expected coordinates of width {self.w_dim}, got shape {w_pca.shape}")
        return self.mean + jnp.matmul(w_pca, self.components, precision=_HIGHEST)

    def with_num_components(self, num_components: int | float | Literal["knee"]) -> "PCA":
        """The same PCA with another k, chosen as in `fit_pca`."""
        k = _choose_num_components(num_components, np.asarray(self.explained_variance))
        return dataclasses.replace(self, num_components=k)

    def save(self, folder: str | Path) -> Path:
        """Write a checkpoint folder of kind "pca"."""
        arrays = {n: getattr(self, n) for n in ("mean", "components", "explained_variance")}
        return save_checkpoint(
            folder, kind="pca", config={"num_components": self.num_components}, arrays=arrays
        )

    @classmethod
    def load(cls, folder: str | Path) -> "PCA":
        """Read a folder written by `save`.

        Raises:
            CheckpointError: if the folder is missing, damaged, or of another kind.
        """
        config, arrays = load_checkpoint(folder, kind="pca")
        return cls(**jax.tree.map(jnp.asarray, arrays), num_components=config["num_components"])


def fit_pca(
    w: Float[Array | np.ndarray, "num_samples w_dim"],
    num_components: int | float | Literal["knee"] = 200,
) -> PCA:
    """Fit a PCA to latents held in memory.

    Args:
        w: latents, float32.
        num_components: k. An int is the number itself, a float in (0, 1) the share of the variance that the first k
            must reach, "knee" the point of the cumulative curve farthest above its chord.

    Raises:
        InputError: if k exceeds the width, there are fewer samples than k or than two, w is no matrix or not finite.
    """
    if w.ndim != 2:
        raise InputError(f"w: expected [num_samples, w_dim], got shape {w.shape}")
    _check_num_components(num_components, w.shape[1])
    _check_num_samples(len(w), num_components)
    mean, components, variance, finite = _fit(_gathered(jnp.asarray(w, jnp.float32)))
    if not finite:
        bad = int((~np.isfinite(np.asarray(w))).any(axis=1).sum())
        raise InputError(f"w: expected finite numbers, got NaN or infinity in {bad} of {len(w)} rows")
    k = _choose_num_components(num_components, np.asarray(variance))
    _check_num_samples(len(w), k)
    return PCA(mean, components, variance, k)


def fit_pca_streamed(
    batches: Iterable[Float[Array | np.ndarray, "batch w_dim"]],
    num_components: int | float | Literal["knee"] = 200,
    *,
    num_batches: int | None = None,
    progress: bool = True,
) -> PCA:
    """Fit a PCA to any number of latents at constant memory.

    The covariance of raw float32 latents loses the small eigenvalues: its rounding error is relative to the largest.
    So the first batch gives provisional μ₀, V₀, λ₀, and each batch x = (w − μ₀) V₀ diag(λ₀)^(−1/2) enters in these
    coordinates, where the Gram matrix is close to the identity and no direction is small beside another. The Gram
    matrix of one batch is float32 (full-precision products); the sum over batches and the final eigenproblem
    C = V₀ diag(λ₀)^(1/2) G diag(λ₀)^(1/2) V₀ᵀ are float64 on the host.

    Args:
        batches: latents, a batch at a time; equal sizes avoid recompilation. A first batch of several times `w_dim`
            is best. For example `(generator.mapping(jax.random.normal(k, (8192, 512))) for k in keys)`.
        num_components: k, as in `fit_pca`.
        num_batches: how many batches will come, for the progress bar.
        progress: whether to show the bar.

    Raises:
        InputError: as `fit_pca`, and if a batch has another width than the first.
    """
    provisional = None
    count, total, gram, basis = 0, np.zeros(0), np.zeros((0, 0)), np.zeros((0, 0))
    for w in tqdm(batches, "PCA", num_batches, disable=not progress, unit="batch"):
        if w.ndim != 2 or not len(w) or (provisional and w.shape[1] != len(total)):
            expected = f"[batch, {len(total)}]" if provisional else "[batch, w_dim]"
            raise InputError(f"batches: expected arrays {expected}, got shape {w.shape}")
        w = jnp.asarray(w, jnp.float32)
        if provisional is None:
            _check_num_components(num_components, w.shape[1])
            mean, components, variance, _ = _fit(w)
            # Directions that the first batch did not span get a small scale instead of none.
            scale = jnp.sqrt(jnp.maximum(variance, 1e-6 * variance[0]) + jnp.finfo(jnp.float32).tiny)
            provisional = mean, components.T / scale
            basis = np.asarray(components, np.float64) * np.asarray(scale, np.float64)[:, None]
            total, gram = np.zeros(w.shape[1]), np.zeros((w.shape[1], w.shape[1]))
        batch_total, batch_gram = _moments(w, *provisional)
        batch_gram = np.asarray(batch_gram, np.float64)
        if not np.isfinite(batch_gram).all():
            raise InputError(
                f"batches: expected finite numbers, got NaN or infinity in batch {count and 'after sample '}{count}"
            )
        count, total, gram = count + len(w), total + np.asarray(batch_total, np.float64), gram + batch_gram
    _check_num_samples(count, num_components)
    assert provisional is not None
    shift = total / count
    covariance = basis.T @ ((gram - count * np.outer(shift, shift)) / (count - 1)) @ basis
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    variance64 = np.maximum(eigenvalues[::-1], 0.0)
    directions = eigenvectors.T[::-1]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1, keepdims=True), axis=1)
    directions = directions * np.where(largest < 0, -1.0, 1.0)
    k = _choose_num_components(num_components, variance64)
    _check_num_samples(count, k)
    mean64 = np.asarray(provisional[0], np.float64) + shift @ basis
    mean, components, variance = (jnp.asarray(a, jnp.float32) for a in (mean64, directions, variance64))
    return PCA(mean, components, variance, k)


def _gathered(w: Float[Array, "num_samples w_dim"]) -> Float[Array, "num_samples w_dim"]:
    """The whole matrix on each device where it is explicitly sharded: the QR decomposition needs it."""
    sharding = w.sharding
    if isinstance(sharding, NamedSharding) and sharding.spec != PartitionSpec():
        return jax.device_put(w, NamedSharding(sharding.mesh, PartitionSpec()))
    return w


@jax.jit
def _fit(
    w: Float[Array, "num_samples w_dim"],
) -> tuple[Float[Array, " w_dim"], Float[Array, "w_dim w_dim"], Float[Array, " w_dim"], Array]:
    """Mean, directions (rows), variances, and whether all was finite.

    Singular values of the centred latents, through R of their QR decomposition: backward stable, where a float32
    covariance would square the condition number. The mean is taken twice, so that a large one costs no digits.
    """
    n, w_dim = w.shape
    with jax.default_matmul_precision("highest"):
        mean = w.mean(0)
        mean = mean + (w - mean).mean(0)
        r = jnp.linalg.qr(w - mean, mode="r")
        # Fewer samples than dimensions: zero rows complete the basis.
        r = jnp.zeros((w_dim, w_dim), w.dtype).at[: r.shape[0]].set(r)
        _, singular_values, components = jnp.linalg.svd(r)
    largest = jnp.take_along_axis(components, jnp.abs(components).argmax(1, keepdims=True), axis=1)
    components = components * jnp.where(largest < 0, -1.0, 1.0)
    finite = jnp.isfinite(singular_values).all() & jnp.isfinite(mean).all()
    return mean, components, singular_values**2 / max(n - 1, 1), finite


@jax.jit
def _moments(
    w: Float[Array, "batch w_dim"], mean: Float[Array, " w_dim"], whitener: Float[Array, "w_dim w_dim"]
) -> tuple[Float[Array, " w_dim"], Float[Array, "w_dim w_dim"]]:
    """Σx and Σxxᵀ of x = (w − mean) whitener."""
    x = jnp.matmul(w - mean, whitener, precision=_HIGHEST)
    return x.sum(0), jnp.matmul(x.T, x, precision=_HIGHEST)


def _choose_num_components(choice: int | float | str, explained_variance: np.ndarray) -> int:
    _check_num_components(choice, len(explained_variance))
    if isinstance(choice, int):
        return choice
    total = explained_variance.sum(dtype=np.float64)
    if not total > 0:
        raise InputError("w: expected latents that vary, got one value for all")
    cumulative = explained_variance.cumsum(dtype=np.float64) / total
    if isinstance(choice, float):
        return min(int(np.searchsorted(cumulative, choice)) + 1, len(cumulative))
    chord = np.arange(1, len(cumulative) + 1) / len(cumulative)
    return int(np.argmax(cumulative - chord)) + 1


def _check_num_components(choice: int | float | str, w_dim: int) -> None:
    if isinstance(choice, str):
        fits = choice == "knee"
    else:
        fits = 1 <= choice <= w_dim if isinstance(choice, int) else 0.0 < choice < 1.0
    if not fits:
        raise InputError(
            f"num_components: expected an int in 1…{w_dim} (the width of w), a share of the variance in (0, 1) or "
            f"'knee', got {choice!r}"
        )


def _check_num_samples(num_samples: int, choice: int | float | str) -> None:
    needed = max(choice, 2) if isinstance(choice, int) else 2
    if num_samples < needed:
        raise InputError(
            f"w: expected at least {needed} samples for num_components={choice!r}, got {num_samples}"
        )
