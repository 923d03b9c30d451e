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
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxedit.errors import InputError
from jaxedit.latents.pca_decomposition import decompose, moments, rows_of
from jaxedit.parallel import gather
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint

# Float32 products in full precision: TPUs and recent GPUs round the factors otherwise.
_HIGHEST = lax.Precision.HIGHEST

_DEFAULT_NUM_COMPONENTS = 200

_SMALL = 1e-4
"""Smallest variance of a kept component, relative to the largest one, that a float32 covariance knows to 1e-4."""


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
        components: Vᵀ, one orthonormal direction per row, by falling variance. Signs are fixed: the entry of largest
            magnitude of each direction is positive.
        explained_variance: λ, with the divisor `num_samples - 1`.
        num_components: k, the number of coordinates that go through the axes. Static.
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

    @property
    def whitened_scale(self) -> Float[Array, " k"]:
        """√λ of the first k coordinates, by which they are whitened; 1 for a direction without variance."""
        variance = self.explained_variance[: self.num_components]
        return jnp.sqrt(jnp.where(variance > 0, variance, 1.0))

    def transform(self, w: Float[Array | np.ndarray, "*batch w_dim"]) -> Float[Array, "*batch w_dim"]:
        """PCA coordinates, w_pca = (w − μ) V.

        Raises:
            InputError: if the width is not that of the fitted latents.
        """
        return self._along(self.components, w)

    def _along(self, directions: Float[Array, "count w_dim"], w: Array | np.ndarray) -> Array:
        if w.shape[-1:] != (self.w_dim,):
            raise InputError(f"w: expected latents of width {self.w_dim}, got shape {w.shape}")
        return jnp.matmul(w - self.mean, directions.T, precision=_HIGHEST)

    def leading(self, w: Float[Array | np.ndarray, "*batch w_dim"]) -> Float[Array, "*batch k"]:
        """The first k coordinates alone, those that go through the axes, without the cost of the others.

        Raises:
            InputError: as `transform`.
        """
        return self._along(self.components[: self.num_components], w)

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
    num_components: int | float | Literal["knee"] | None = None,
    *,
    accurate: bool | None = None,
) -> PCA:
    """Fit a PCA to latents in memory, by the eigenvalues of their covariance or by singular values.

    Args:
        w: latents, float32. Their rows may be spread over devices, or over processes (which then all call this): each
            device reduces its own.
        num_components: k. An int is the number itself. A float in (0, 1) is the share of the variance that the first k
            must reach. "knee" is the point of the cumulative curve farthest above its chord. None is 200, or the width
            of w if that is less.
        accurate: True for singular values, which take two to four times as long. False for the covariance: the error
            of a variance is then relative to the largest one. None for the covariance, but singular values where
            samples are fewer than dimensions, or the k-th variance is less than 1e-4 of the first.

    Raises:
        InputError: if k exceeds the width, there are fewer samples than k or than two, or w is not a matrix of finite
            numbers.

    Examples:
        >>> import jax, jaxedit
        >>> w = jax.random.normal(jax.random.key(0), (1000, 4)) * jax.numpy.array([4.0, 2.0, 1.0, 0.5])
        >>> pca = jaxedit.fit_pca(w, 0.9)  # as many components as hold 90 % of the variance
        >>> pca.num_components
        2
        >>> w_pca = pca.transform(w)
        >>> bool(abs(pca.inverse_transform(w_pca) - w).max() < 1e-5)
        True
    """
    if w.ndim != 2:
        raise InputError(f"w: expected [num_samples, w_dim], got shape {w.shape}")
    _check_num_components(num_components, w.shape[1])
    _check_num_samples(len(w), num_components)
    latents = jnp.asarray(w, jnp.float32)
    by_covariance = len(w) > w.shape[1] if accurate is None else not accurate
    mean, components, variance, finite = decompose(latents, by_covariance=by_covariance)
    if not finite:
        bad = int((~np.isfinite(gather(w))).any(axis=1).sum())
        raise InputError(f"w: expected finite numbers, got NaN or infinity in {bad} of {len(w)} rows")
    k = _choose_num_components(num_components, np.asarray(variance))
    if accurate is None and by_covariance and variance[k - 1] < _SMALL * variance[0]:
        mean, components, variance, _ = decompose(latents)
        k = _choose_num_components(num_components, np.asarray(variance))
    _check_num_samples(len(w), k)
    return PCA(mean, components, variance, k)


def fit_pca_streamed(
    batches: Iterable[Float[Array | np.ndarray, "batch w_dim"]],
    num_components: int | float | Literal["knee"] | None = None,
    *,
    num_batches: int | None = None,
    progress: bool = True,
) -> PCA:
    """Fit a PCA to any number of latents at constant memory.

    The covariance of raw float32 latents loses the small eigenvalues: its rounding error is relative to the largest.
    Therefore the first batch gives provisional μ₀, V₀, λ₀, and each batch x = (w − μ₀) V₀ diag(λ₀)^(−1/2) enters in
    these coordinates, where the Gram matrix is close to the identity and no direction is small beside another. The
    Gram matrix of one batch is float32 (full-precision products). The sum over batches and the final eigenproblem
    C = V₀ diag(λ₀)^(1/2) G diag(λ₀)^(1/2) V₀ᵀ are float64 on the host.

    Args:
        batches: latents, a batch at a time; equal sizes avoid recompilation. A first batch of several times `w_dim`
            is best. Their rows may be spread over devices or processes, as in `fit_pca`.
        num_components: k, as in `fit_pca`.
        num_batches: number of batches, for the progress bar.
        progress: whether to show the bar.

    Raises:
        InputError: as `fit_pca`, and if a batch has another width than the first.

    Examples:
        >>> import jax, jaxedit
        >>> keys = jax.random.split(jax.random.key(0), 3)
        >>> batches = (jax.random.normal(key, (100, 4)) for key in keys)
        >>> jaxedit.fit_pca_streamed(batches, 3, progress=False).components.shape
        (4, 4)
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
            mean, components, variance, _ = decompose(w)
            # Directions that the first batch did not span get a small scale instead of none.
            scale = jnp.sqrt(jnp.maximum(variance, 1e-6 * variance[0]) + jnp.finfo(jnp.float32).tiny)
            # NumPy, which goes with batches on any devices.
            provisional = np.asarray(mean), np.asarray(components.T / scale)
            basis = np.asarray(components, np.float64) * np.asarray(scale, np.float64)[:, None]
            total, gram = np.zeros(w.shape[1]), np.zeros((w.shape[1], w.shape[1]))
        batch_total, batch_gram = moments(w, *provisional, rows_of(w))
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


def _choose_num_components(choice: int | float | str | None, explained_variance: np.ndarray) -> int:
    _check_num_components(choice, len(explained_variance))
    if choice is None:
        return min(_DEFAULT_NUM_COMPONENTS, len(explained_variance))
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


def _check_num_components(choice: int | float | str | None, w_dim: int) -> None:
    if choice is None:
        return
    if isinstance(choice, str):
        fits = choice == "knee"
    else:
        fits = 1 <= choice <= w_dim if isinstance(choice, int) else 0.0 < choice < 1.0
    if not fits:
        raise InputError(
            f"num_components: expected an int in 1…{w_dim} (the width of w), a share of the variance in (0, 1) or "
            f"'knee', got {choice!r}"
        )


def _check_num_samples(num_samples: int, choice: int | float | str | None) -> None:
    needed = max(choice, 2) if isinstance(choice, int) else 2
    if num_samples < needed:
        raise InputError(
            f"w: expected at least {needed} samples for num_components={choice!r}, got {num_samples}"
        )
