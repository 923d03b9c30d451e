"""The autoencoder of the axes as it is trained: a Flax module with batch norm.

`jaxedit.axes.autoencoder` has the equations, and the pytree that is used after the training.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from jaxedit.axes.autoencoder import (
    BATCH_NORM_EPSILON,
    MLP,
    Affine,
    AxisAutoencoder,
    BatchNorm,
    LinearPath,
    fold_batch_norms,
    linear_solution,
)
from jaxedit.axes.config import AxesConfig


class TrainedMLP(nnx.Module):
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

    def __call__(self, x: Float[Array, "batch in_width"]) -> Float[Array, "batch out_width"]:
        """The output in training: normalized by the batch, whose statistics update the running ones."""
        for layer, norm in zip(self.layers[:-1], self.norms, strict=True):
            x = norm(nnx.leaky_relu(layer(x), self.leaky_slope), use_running_average=False)
        return self.layers[-1](x)

    def frozen(self, output_norm: nnx.BatchNorm | None = None) -> MLP:
        """The network for use, with running statistics; `output_norm` comes after the last layer."""
        return fold_batch_norms(
            [_affine(layer) for layer in self.layers],
            [_statistics(norm) for norm in self.norms],
            None if output_norm is None else _statistics(output_norm),
            self.leaky_slope,
        )


class TrainedLinearPath(nnx.Module):
    """The closed-form solution; the identity until `fit`. Attributes as in `LinearPath`."""

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
        known: Bool[Array, "batch num_attributes"] | None = None,
    ) -> None:
        """Solve for these PCA coordinates, quantile-transformed attributes where `known`, and λ[:k]; changes the module
        in place."""
        # A direction without variance keeps its coordinate.
        scale = jnp.sqrt(jnp.where(explained_variance > 0, explained_variance, 1.0))
        encoder, decoder = linear_solution(head / scale, labels, self.damping, known)
        self.scale[...], self.encoder[...], self.decoder[...] = scale, encoder, decoder

    def frozen(self) -> LinearPath:
        """The solution for use."""
        return LinearPath(self.scale[...], self.encoder[...], self.decoder[...])


class TrainedAutoencoder(nnx.Module):
    """Encoder and decoder between w_pca[:k] and c, both [batch, k] float32, in training."""

    def __init__(self, k: int, config: AxesConfig, *, rngs: nnx.Rngs) -> None:
        self.encoder = TrainedMLP(k, k, config, zero_output=config.linear_path, rngs=rngs)
        self.decoder = TrainedMLP(k, k, config, zero_output=config.linear_path, rngs=rngs)
        self.linear = TrainedLinearPath(k, config.linear_damping) if config.linear_path else None
        self.code_norm = None if config.linear_path else _batch_norm(k, rngs)

    def encode(
        self, head: Float[Array, "batch k"], noise: Float[Array, "batch k"] | None
    ) -> Float[Array, "batch k"]:
        """The code c of the first k PCA coordinates; f sees the whitened coordinates x + `noise`."""
        if self.linear is not None:
            x = head / self.linear.scale[...]
            return x @ self.linear.encoder[...] + self.encoder(x if noise is None else x + noise)
        assert self.code_norm is not None
        return self.code_norm(self.encoder(head), use_running_average=False)

    def decode(self, codes: Float[Array, "batch k"]) -> Float[Array, "batch k"]:
        """The first k PCA coordinates of a code."""
        if self.linear is not None:
            return (codes @ self.linear.decoder[...] + self.decoder(codes)) * self.linear.scale[...]
        return self.decoder(codes)

    def frozen(self) -> AxisAutoencoder:
        """The autoencoder for use."""
        linear = None if self.linear is None else self.linear.frozen()
        return AxisAutoencoder(self.encoder.frozen(self.code_norm), self.decoder.frozen(), linear)


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
    return nnx.BatchNorm(width, momentum=0.9, epsilon=BATCH_NORM_EPSILON, rngs=rngs)


def _affine(layer: nnx.Linear) -> Affine:
    assert layer.bias is not None
    return Affine(layer.kernel[...], layer.bias[...])


def _statistics(norm: nnx.BatchNorm) -> BatchNorm:
    assert norm.scale is not None and norm.bias is not None
    return BatchNorm(norm.scale[...], norm.bias[...], norm.mean[...], norm.var[...])
