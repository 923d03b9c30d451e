"""SeFa: for each attribute, the eigenvector of the style weights with the largest correlation.

Shen and Zhou, *Closed-Form Factorization of Latent Semantics in GANs*, CVPR 2021. Let the rows of
A [num_channels, w_dim] be the weights of the affine maps from w to the styles of the chosen layers, each divided by its
length. The unit vectors n that change the styles most maximize ‖A n‖²: they are the eigenvectors of largest λ in

    AᵀA n = λ n.

The authors name the first few eigenvectors by eye. Here, each attribute takes one of the first `num_semantics`: the
one whose coordinate of w has the largest |correlation| with the label.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from benchmarks.baselines.training_labels import TrainingSplit, in_layers, largest_correlation, scaled
from jaxedit.errors import InputError
from jaxedit.evaluation.methods import LinearDirections
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.protocol import Generator


def style_weights(generator: Generator) -> list[tuple[int, Float[Array, "w_dim num_channels"]]]:
    """Weights of all affine maps from w to styles, each with its layer of W+.

    Raises:
        InputError: if the generator is not a MobileStyleGAN.
    """
    if not isinstance(generator, MobileStyleGAN):
        raise InputError(f"generator: expected a MobileStyleGAN, got {type(generator).__name__}")
    weights = [(0, generator.input_conv.modulation.weight[...])]
    for i, block in enumerate(generator.blocks):
        first, second, last = 2 * i + 1, 2 * i + 2, 2 * i + 3
        weights += [
            (first, block.up.weight[...]),
            (first, block.conv1.modulation.weight[...]),
            (second, block.conv2.modulation.weight[...]),
        ]
        if block.head is not None:
            weights.append((last, block.head.modulation.weight[...]))
    return weights


def factorize(
    weights: list[Float[Array, "w_dim num_channels"]],
) -> tuple[Float[Array, "w_dim w_dim"], Float[Array, " w_dim"]]:
    """Eigenvectors (as rows) and eigenvalues of AᵀA, in order of decreasing eigenvalue."""
    with jax.default_matmul_precision("highest"):
        A = jnp.concatenate(weights, axis=1)
        length = jnp.linalg.norm(A, axis=0)
        A = A / jnp.where(length > 0, length, 1.0)
        eigenvalues, eigenvectors = jnp.linalg.eigh(A @ A.T)
    return eigenvectors.T[::-1], eigenvalues[::-1]


def fit(
    split: TrainingSplit,
    generator: Generator,
    *,
    layers: range | None = None,
    num_semantics: int = 20,
    name: str = "sefa",
) -> LinearDirections:
    """Directions of all attributes.

    Args:
        split: training data.
        generator: generator whose weights are factorized.
        layers: layers to factorize and move (W+), or None for all layers (W).
        num_semantics: number of eigenvectors to choose from.
        name: name of the method.

    Raises:
        InputError: if `layers` or `num_semantics` is out of range, or the generator is not a MobileStyleGAN.
    """
    if not 1 <= num_semantics <= generator.w_dim:
        raise InputError(f"num_semantics: expected 1…{generator.w_dim}, got {num_semantics}")
    chosen = range(generator.num_ws) if layers is None else layers
    weights = [weight for layer, weight in style_weights(generator) if layer in chosen]
    if not weights:
        raise InputError(f"layers: expected some of 0…{generator.num_ws - 1}, got {layers}")
    semantics = factorize(weights)[0][:num_semantics]
    coordinates = jnp.matmul(split.w - split.pca.mean, semantics.T, precision=jax.lax.Precision.HIGHEST)
    best, _ = largest_correlation(coordinates, split.labels)
    # The authors' interface moves by up to 3. Longer edits along directions of low variance break images.
    names, directions = split.attribute_names, scaled(semantics[best], split.probes, longest=3.0)
    if layers is None:
        return LinearDirections(name, names, directions)
    own = dict.fromkeys(names, layers)
    return LinearDirections(name, names, in_layers(directions, names, own, generator.num_ws))
