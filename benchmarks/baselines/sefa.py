"""SeFa: the eigenvector of the generator's style weights that follows an attribute best.

Shen and Zhou, *Closed-Form Factorization of Latent Semantics in GANs*, CVPR 2021. Let A [num_channels, w_dim] hold, row
under row, the weights of the affine maps from w to the styles of the chosen layers, each row divided by its length.
Directions that change the styles most solve

    max over unit vectors n of ‖A n‖²,        AᵀA n = λ n,

and are the eigenvectors of largest λ. The authors name the first few by eye. Here an attribute gets, of the first
`num_semantics`, the one along which the coordinate of w has the largest |correlation| with its label.
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
    """The weights of every affine map from w to styles, each with the layer whose latent it takes.

    Raises:
        InputError: if it is not known where this family of generators keeps them.
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
    """Eigenvectors of AᵀA (rows) and eigenvalues, by falling eigenvalue."""
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
    """The eigenvectors of all attributes.

    Args:
        split: to learn from.
        generator: whose weights are factorized.
        layers: those that are factorized and moved (W+), or None for all (W).
        num_semantics: how many eigenvectors to choose from.
        name: of the method.

    Raises:
        InputError: if the layers do not exist, or there are not that many eigenvectors, or the family of the
            generator is another one.
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
    # The authors' interface moves by up to 3; far along a direction that w hardly varies in, images fall apart.
    names, directions = split.attribute_names, scaled(semantics[best], split.probes, longest=3.0)
    if layers is None:
        return LinearDirections(name, names, directions)
    own = dict.fromkeys(names, layers)
    return LinearDirections(name, names, in_layers(directions, names, own, generator.num_ws))
