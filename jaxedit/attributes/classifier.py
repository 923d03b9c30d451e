"""What an attribute classifier is."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float


@runtime_checkable
class AttributeClassifier(Protocol):
    """Turns images into continuous attribute values.

    Anything with these two members will do: a network for cars or for products as well as
    [`FaceAttributes`][jaxedit.attributes.FaceAttributes]. Calling it must be a pure function of the images that
    works under `jax.jit`; an instance that holds weights should be a pytree (every Flax NNX module is one), so
    that `jax.jit` takes the weights as arguments instead of copying them into the program.

    Values should be continuous and unbounded where possible (a logit instead of a probability: probabilities
    saturate, and a saturated label teaches nothing).
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The attribute names, one for each column of the result."""

    def __call__(self, images: Float[Array, "batch height width 3"]) -> Float[Array, "batch num_attributes"]:
        """The attribute values of RGB images in [-1, 1]."""


def as_argument(network: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """A network in a form that passes through `jax.jit` as an argument.

    A pytree passes as it is, its weights as data of the program. Of anything else the object is part of the program:
    the same object runs the same compilation, and what it holds becomes constants.
    """
    is_pytree = all(leaf is not network for leaf in jax.tree.leaves(network))
    return network if is_pytree else jax.tree_util.Partial(network)
