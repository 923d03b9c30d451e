"""Several classifiers as one."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxedit.attributes.classifier import AttributeClassifier, as_argument
from jaxedit.errors import InputError


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["classifiers"], meta_fields=["names", "units"]
)
@dataclasses.dataclass(frozen=True)
class JoinedClassifier:
    """The columns of several classifiers side by side; a pytree. Make one with `join_classifiers`.

    Attributes:
        classifiers: pytrees.
        names: of all columns.
        units: of all columns; "" where a classifier names none.
    """

    __no_type_check__ = True

    classifiers: tuple[Callable[[Array], Array], ...]
    names: tuple[str, ...]
    units: tuple[str, ...]

    def __call__(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch num_attributes"]:
        """The values of all classifiers."""
        return jnp.concatenate([classifier(images) for classifier in self.classifiers], axis=1)


def join_classifiers(classifiers: Sequence[AttributeClassifier]) -> AttributeClassifier:
    """Several classifiers as one; a single one as it is.

    Raises:
        InputError: if there is none, or two have an attribute of one name.

    Examples:
        >>> import jax.numpy as jnp
        >>> from jaxedit.attributes.joined import join_classifiers
        >>> class Mean:
        ...     names = ("mean",)
        ...     def __call__(self, images):
        ...         return images.mean((1, 2, 3))[:, None]
        >>> class Spread:
        ...     names = ("spread",)
        ...     def __call__(self, images):
        ...         return images.std((1, 2, 3))[:, None]
        >>> both = join_classifiers([Mean(), Spread()])
        >>> both.names, both(jnp.zeros((4, 8, 8, 3))).shape
        (('mean', 'spread'), (4, 2))
    """
    if not classifiers:
        raise InputError("classifiers: expected one or more, got none")
    if len(classifiers) == 1:
        return classifiers[0]
    names = tuple(name for classifier in classifiers for name in classifier.names)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(
            f"classifiers: expected each attribute once, got {twice[0]!r} twice; leave one classifier out"
        )
    units = tuple(unit for c in classifiers for unit in getattr(c, "units", ("",) * len(tuple(c.names))))
    return JoinedClassifier(tuple(as_argument(classifier) for classifier in classifiers), names, units)
