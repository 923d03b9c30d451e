"""The autoencoder between the first k PCA coordinates and the code c, whose first axes are the attributes.

As published, encoder E and decoder D are plain networks on the raw coordinates. With the linear path they correct a
closed-form solution on the whitened coordinates x = w_pca[:k] / √λ[:k]:

    c = x [A, Q] + f(x),        x̂ = c [P, Q]ᵀ + g(c),        P = B (BᵀB + δI)⁻¹ S,        A = P (PᵀP)⁻¹.

B [k, num_attributes] is the ridge regression of the attributes on x, Q an orthonormal basis of the complement of its
columns, S the diagonal scale that makes (BᵀP)ᵢᵢ = 1, and f, g are networks whose last layer starts at zero. Then
D(E(x)) = x from the start, and moving axis i moves x by Δx = P eᵢ and so the predicted attribute i by one.

With damping δ = 0 that is the shortest move that changes no other predicted attribute, and (x being white) the
likeliest; c is the prediction itself. Where attributes go together, such a move is long: whoever smiles more and must
not widen the mouth leaves the faces that exist. δ > 0 is a compromise: Δx minimizes ‖BᵀΔx − eᵢ‖² + δ ‖Δx‖² up to
scale. Moves are shorter and take a little of the related attributes along; the axes, P's dual basis, are less
correlated with each other and a little less with their labels. Decoders that start from random weights instead change
other things on the way.

What stands here is a plain pytree of arrays, for use. The module that is trained stands in
`jaxedit.axes.learning.network`; its batch norm is folded into the weights here.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxedit.latents.ridge import ridge


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["kernels", "biases"], meta_fields=["leaky_slope"]
)
@dataclasses.dataclass(frozen=True)
class MLP:
    """Linear layers with leaky ReLU between them; a pytree.

    Attributes:
        kernels: of each layer, [in_width, out_width] float32.
        biases: of each layer, [out_width] float32.
        leaky_slope: negative slope. Static.
    """

    # Unflattening a pytree puts JAX's own stand-ins into the fields, so their types are not enforced.
    __no_type_check__ = True

    kernels: tuple[Float[Array, "in_width out_width"], ...]
    biases: tuple[Float[Array, " out_width"], ...]
    leaky_slope: float

    def __call__(self, x: Float[Array, "batch in_width"]) -> Float[Array, "batch out_width"]:
        """The output of the network."""
        for kernel, bias in zip(self.kernels[:-1], self.biases[:-1], strict=True):
            x = jax.nn.leaky_relu(x @ kernel + bias, self.leaky_slope)
        return x @ self.kernels[-1] + self.biases[-1]


class LinearPath(NamedTuple):
    """The closed-form solution in the docstring of the module."""

    scale: Float[Array, " k"]
    """√λ[:k], the standard deviations by which the coordinates are whitened."""
    encoder: Float[Array, "k k"]
    """[A, Q]."""
    decoder: Float[Array, "k k"]
    """[P, Q]ᵀ."""


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["encoder", "decoder", "linear"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class AxisAutoencoder:
    """Encoder and decoder between w_pca[:k] and c, both [batch, k] float32; a pytree of arrays.

    Attributes:
        encoder: E, or f if there is a linear path.
        decoder: D, or g.
        linear: the linear path; None for the published networks.
    """

    __no_type_check__ = True

    encoder: MLP
    decoder: MLP
    linear: LinearPath | None = None

    def encode(self, head: Float[Array, "batch k"]) -> Float[Array, "batch k"]:
        """The code c of the first k PCA coordinates."""
        if self.linear is None:
            return self.encoder(head)
        x = head / self.linear.scale
        return x @ self.linear.encoder + self.encoder(x)

    def decode(self, codes: Float[Array, "batch k"]) -> Float[Array, "batch k"]:
        """The first k PCA coordinates of a code."""
        if self.linear is None:
            return self.decoder(codes)
        return (codes @ self.linear.decoder + self.decoder(codes)) * self.linear.scale


class Affine(NamedTuple):
    """A linear layer."""

    kernel: Float[Array, "in_width out_width"]
    bias: Float[Array, " out_width"]


class BatchNorm(NamedTuple):
    """Batch norm in use: (x − mean) / √(var + ε) · scale + bias."""

    scale: Float[Array, " width"]
    bias: Float[Array, " width"]
    mean: Float[Array, " width"]
    var: Float[Array, " width"]


BATCH_NORM_EPSILON = 1e-5
"""ε, as in PyTorch."""


def fold_batch_norms(
    layers: Sequence[Affine], norms: Sequence[BatchNorm], output_norm: BatchNorm | None, leaky_slope: float
) -> MLP:
    """The network with its batch norms folded into its linear layers.

    Args:
        layers: linear layers.
        norms: the batch norm after the leaky ReLU of each layer but the last.
        output_norm: a batch norm after the last layer, if there is one.
        leaky_slope: negative slope.
    """
    kernels, biases = [], []
    norm: BatchNorm | None = None
    for (kernel, bias), next_norm in zip(layers, [*norms, None], strict=True):
        if norm is not None:
            gain, shift = _gain_and_shift(norm)
            bias = bias + jnp.matmul(shift, kernel, precision=lax.Precision.HIGHEST)
            kernel = gain[:, None] * kernel
        kernels.append(kernel)
        biases.append(bias)
        norm = next_norm
    if output_norm is not None:
        gain, shift = _gain_and_shift(output_norm)
        kernels[-1], biases[-1] = kernels[-1] * gain, biases[-1] * gain + shift
    return MLP(tuple(kernels), tuple(biases), leaky_slope)


def _gain_and_shift(norm: BatchNorm) -> tuple[Float[Array, " width"], Float[Array, " width"]]:
    """Batch norm as x · gain + shift."""
    gain = norm.scale / jnp.sqrt(norm.var + BATCH_NORM_EPSILON)
    return gain, norm.bias - norm.mean * gain


def linear_solution(
    x: Float[Array, "batch k"],
    labels: Float[Array, "batch num_attributes"],
    damping: float,
    known: Bool[Array, "batch num_attributes"] | None = None,
) -> tuple[Float[Array, "k k"], Float[Array, "k k"]]:
    """[A, Q] and [P, Q]ᵀ of the module's docstring, from whitened coordinates, and labels where `known`."""
    with jax.default_matmul_precision("highest"):
        num_attributes = labels.shape[1]
        B = ridge(x, labels, known=known)
        left, singular, right = jnp.linalg.svd(B, full_matrices=True)
        Q = left[:, num_attributes:]
        # By the singular values s: P = B (BᵀB + δI)⁻¹ has s / (s² + δ), and its dual basis the reciprocal, s + δ / s.
        gains = singular / (singular**2 + damping)
        P = (left[:, :num_attributes] * gains) @ right
        A = B + damping * (left[:, :num_attributes] / singular) @ right
        scale = 1 / jnp.sum(B * P, axis=0)
        return jnp.concatenate([A / scale, Q], axis=1), jnp.concatenate([P * scale, Q], axis=1).T
