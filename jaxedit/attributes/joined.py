"""Several classifiers as one."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.attributes.classifier import AttributeClassifier, as_argument
from jaxedit.errors import InputError


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["classifiers"], meta_fields=["columns", "names", "units"]
)
@dataclasses.dataclass(frozen=True)
class JoinedClassifier:
    """The columns of several classifiers side by side; a pytree. Make one with `join_classifiers`.

    Attributes:
        classifiers: pytrees.
        columns: which of all columns side by side are kept.
        names: of the columns that are kept.
        units: likewise; "" where a classifier names none.
    """

    __no_type_check__ = True

    classifiers: tuple[Callable[[Array], Array], ...]
    columns: tuple[int, ...]
    names: tuple[str, ...]
    units: tuple[str, ...]

    def __call__(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch num_attributes"]:
        """The values of all classifiers."""
        values = jnp.concatenate([classifier(images) for classifier in self.classifiers], axis=1)
        return values[:, np.array(self.columns)]


def join_classifiers(classifiers: Sequence[AttributeClassifier]) -> AttributeClassifier:
    """Several classifiers as one; a single one as it is.

    Of two attributes of one name, that of the later classifier is kept, as by `join_latents`.

    Raises:
        InputError: if there is none.

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
    units = tuple(unit for c in classifiers for unit in getattr(c, "units", ("",) * len(tuple(c.names))))
    kept = tuple(i for i, name in enumerate(names) if name not in names[i + 1 :])
    return JoinedClassifier(
        tuple(as_argument(classifier) for classifier in classifiers),
        kept,
        tuple(names[i] for i in kept),
        tuple(units[i] for i in kept),
    )
