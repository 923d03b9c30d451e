"""The autoencoder between the first k PCA coordinates and the code c, whose first axes are the attributes.

As published, encoder E and decoder D are plain networks on the raw coordinates. With the linear path they correct a
closed-form solution on the whitened coordinates x = w_pca[:k] / √λ[:k]:

    c = x [A, Q] + f(x),        x̂ = c [P, Q]ᵀ + g(c),        P = B (BᵀB + δI)⁻¹ S,        A = P (PᵀP)⁻¹.

B [k, num_attributes] is the ridge regression of the attributes on x, Q an orthonormal basis of the complement of its
columns, S the diagonal scale that makes (BᵀP)ᵢᵢ = 1, and f, g networks whose last layer starts at zero. Then
D(E(x)) = x from the start, and moving axis i moves x by Δx = P eᵢ and so the predicted attribute i by one.

With damping δ = 0 that is the shortest and so (x being white) the likeliest move that changes no other predicted
attribute, and c is the prediction itself. But where attributes go together, such a move is long: whoever smiles more
and must not widen the mouth leaves the faces that exist. δ > 0 trades: Δx minimizes ‖BᵀΔx − eᵢ‖² + δ ‖Δx‖² up to
scale, shorter moves that take a little of the related attributes along; and the axes, P's dual basis, are less
correlated with each other and a little less with their labels. Random initial weights instead of all this give
decoders that change other things on the way.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from jaxedit.axes.config import AxesConfig


class MLP(nnx.Module):
    """Linear layers with, after each but the last, leaky ReLU and then batch norm."""

    def __init__(
        self, in_width: int, out_width: int, config: AxesConfig, *, zero_output: bool, rngs: nnx.Rngs
    ) -> None:
        widths = [in_width, *[config.hidden_width] * (config.num_layers - 1), out_width]
        self.leaky_slope = config.leaky_slope
        self.layers = nnx.List(_linear(i, o, rngs) for i, o in itertools.pairwise(widths))
        self.norms = nnx.List(_batch_norm(width, rngs) for width in widths[1:-1])
        if zero_output:
            for array in jax.tree.leaves(self.layers[-1], is_leaf=lambda leaf: isinstance(leaf, nnx.Param)):
                array[...] = jnp.zeros_like(array[...])

    def __call__(self, x: Float[Array, "batch in_width"], *, train: bool) -> Float[Array, "batch out_width"]:
        """The network; `train` normalizes by the batch and updates the running statistics."""
        for layer, norm in zip(self.layers[:-1], self.norms, strict=True):
            x = norm(nnx.leaky_relu(layer(x), self.leaky_slope), use_running_average=not train)
        return self.layers[-1](x)


class LinearPath(nnx.Module):
    """The closed-form solution of the module's docstring; the identity until `fit`.

    Attributes:
        scale: √λ[:k], the standard deviations by which the coordinates are whitened.
        encoder: [A, Q].
        decoder: [P, Q]ᵀ.
    """

    def __init__(self, k: int, damping: float) -> None:
        self.damping = damping
        self.scale = nnx.Variable(jnp.ones(k))
        self.encoder = nnx.Variable(jnp.eye(k))
        self.decoder = nnx.Variable(jnp.eye(k))

    def fit(
        self,
        head: Float[Array, "batch k"],
        labels: Float[Array, "batch num_attributes"],
        explained_variance: Float[Array, " k"],
    ) -> None:
        """Solve for these PCA coordinates, quantile-transformed attributes and λ[:k]; changes the module in place."""
        # A direction without variance keeps its coordinate.
        scale = jnp.sqrt(jnp.where(explained_variance > 0, explained_variance, 1.0))
        encoder, decoder = linear_solution(head / scale, labels, self.damping)
        self.scale[...], self.encoder[...], self.decoder[...] = scale, encoder, decoder


class AxisAutoencoder(nnx.Module):
    """Encoder and decoder between w_pca[:k] and c, both [batch, k] float32."""

    def __init__(self, k: int, config: AxesConfig, *, rngs: nnx.Rngs) -> None:
        self.encoder = MLP(k, k, config, zero_output=config.linear_path, rngs=rngs)
        self.decoder = MLP(k, k, config, zero_output=config.linear_path, rngs=rngs)
        self.linear = LinearPath(k, config.linear_damping) if config.linear_path else None
        self.code_norm = None if config.linear_path else _batch_norm(k, rngs)

    def encode(
        self,
        head: Float[Array, "batch k"],
        *,
        noise: Float[Array, "batch k"] | None = None,
        train: bool = False,
    ) -> Float[Array, "batch k"]:
        """The code c of the first k PCA coordinates; f sees the whitened coordinates x + `noise`."""
        if self.linear is not None:
            x = head / self.linear.scale[...]
            return x @ self.linear.encoder[...] + self.encoder(x if noise is None else x + noise, train=train)
        assert self.code_norm is not None
        return self.code_norm(self.encoder(head, train=train), use_running_average=not train)

    def decode(self, codes: Float[Array, "batch k"], *, train: bool = False) -> Float[Array, "batch k"]:
        """The first k PCA coordinates of a code."""
        if self.linear is not None:
            x = codes @ self.linear.decoder[...] + self.decoder(codes, train=train)
            return x * self.linear.scale[...]
        return self.decoder(codes, train=train)


def linear_solution(
    x: Float[Array, "batch k"], labels: Float[Array, "batch num_attributes"], damping: float
) -> tuple[Float[Array, "k k"], Float[Array, "k k"]]:
    """[A, Q] and [P, Q]ᵀ of the module's docstring, from whitened coordinates."""
    with jax.default_matmul_precision("highest"):
        num_attributes = labels.shape[1]
        B = ridge(x, labels)
        left, singular, right = jnp.linalg.svd(B, full_matrices=True)
        Q = left[:, num_attributes:]
        # P = B (BᵀB + δI)⁻¹ and its dual basis, by the singular values: s / (s² + δ) and the reciprocal.
        gains = singular / (singular**2 + damping)
        P = (left[:, :num_attributes] * gains) @ right
        A = (left[:, :num_attributes] / gains) @ right
        scale = 1 / jnp.sum(B * P, axis=0)
        return jnp.concatenate([A / scale, Q], axis=1), jnp.concatenate([P * scale, Q], axis=1).T


def ridge(x: Float[Array, "batch k"], y: Float[Array, "batch num_targets"]) -> Float[Array, "k num_targets"]:
    """Ridge regression (XᵀX/B + αI)⁻¹ XᵀY/B of centered y on whitened x, with α = k/B.

    α is the Bayesian choice where signal and noise have the same variance and the signal is spread evenly over
    the k directions.
    """
    batch, k = x.shape
    x, y = x - x.mean(0), y - y.mean(0)

    def product(a: Array, b: Array) -> Array:
        return jnp.matmul(a.T, b, precision=lax.Precision.HIGHEST) / batch

    return jax.scipy.linalg.solve(product(x, x) + (k / batch) * jnp.eye(k), product(x, y), assume_a="pos")


_KERNEL_INIT = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


@functools.cache
def _bias_init(in_width: int) -> nnx.Initializer:
    # Cached: some versions of Flax compare modules by their initializers, and equal modules share a compilation.
    def uniform(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -(in_width**-0.5), in_width**-0.5)

    return uniform


def _linear(in_width: int, out_width: int, rngs: nnx.Rngs) -> nnx.Linear:
    """PyTorch's default initialization, that of the official code: kernel and bias U(±1/√fan-in)."""
    return nnx.Linear(
        in_width, out_width, kernel_init=_KERNEL_INIT, bias_init=_bias_init(in_width), rngs=rngs
    )


def _batch_norm(width: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    """PyTorch's momentum and epsilon."""
    return nnx.BatchNorm(width, momentum=0.9, epsilon=1e-5, rngs=rngs)
