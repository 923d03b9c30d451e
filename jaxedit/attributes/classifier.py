"""The protocol of attribute classifiers."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float

from jaxedit.generators.protocol import weights_fingerprint

LOGIT_UNITS = ("logit", "log-odds")
"""Units of attributes that are there or not."""


@runtime_checkable
class AttributeClassifier(Protocol):
    """Images → continuous attribute values, of faces or of anything else.

    Any object with these two members is one. Calling it must be a pure function of the images that works under
    `jax.jit`. An instance that holds weights should be a pytree (every Flax NNX module is one): `jax.jit` then takes
    the weights as arguments instead of copying them into the program. An optional attribute `units` names the units
    of the columns.

    Values should be continuous and unbounded where possible: a logit instead of a probability, because a saturated
    label teaches nothing.

    Examples:
        >>> import jax.numpy as jnp
        >>> class Colors:
        ...     names = ("brightness", "contrast")
        ...     def __call__(self, images):  # [batch, height, width, 3] in [-1, 1]
        ...         return jnp.stack([images.mean((1, 2, 3)), images.std((1, 2, 3))], axis=1)
        >>> isinstance(Colors(), AttributeClassifier)
        True
        >>> Colors()(jnp.zeros((4, 64, 64, 3))).shape
        (4, 2)
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The attribute names, one for each column of the result."""

    def __call__(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch num_attributes"]:
        """The attribute values of RGB images in [-1, 1]."""


def as_argument(network: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """A classifier in a form that passes through `jax.jit` as an argument.

    A pytree stays as it is: its weights are arguments of the program. Any other object becomes part of the program:
    its arrays are constants, and each object is compiled once.
    """
    is_pytree = all(leaf is not network for leaf in jax.tree.leaves(network))
    return network if is_pytree else jax.tree_util.Partial(network)


def network_identity(network: object) -> str:
    """The type of a network and its weights, which readings that are kept depend on."""
    leaves = [leaf for leaf in jax.tree.leaves(network) if leaf is not network and hasattr(leaf, "dtype")]
    kind = type(network).__qualname__
    return f"{kind} {weights_fingerprint(leaves)[:16]}" if leaves else kind
