"""The networks that read the images: the classifier of the axes, independent networks, identity networks."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxedit.attributes.classifier import AttributeClassifier, as_argument
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.errors import InputError
from jaxedit.labels.quantile_transform import QuantileTransform, fit_quantile_transform

Network = Callable[[Array], Array]
"""Images [batch, height, width, 3] in [-1, 1] to numbers [batch, num_values]."""


@dataclasses.dataclass(frozen=True)
class RefinementNetworks:
    """What a refinement may take besides the generator and the classifier.

    Attributes:
        identity: networks of identity descriptors: an edit should change none of them.
        independent: further classifiers of the same attributes, as columns of their own: an edit that fools one network
            must please the others too. Their names are `attribute@network`. One that returns a pair gives descriptors
            as its second part, which follow those of `identity`.
        render: latents of W+ to images, a pytree: cheaper ones than the generator's, of which derivatives are taken.
            None for the generator's own, or those of a `Preview` for a MobileStyleGAN. Calibration renders in full.
    """

    identity: Sequence[Network] = ()
    independent: Sequence[AttributeClassifier] = ()
    render: Network | None = None

    def independent_names(self) -> tuple[str, ...]:
        """The columns of the independent networks."""
        return tuple(name for network in self.independent for name in network.names)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "classifier",
        "independent",
        "identity",
        "columns",
        "quantile_transform",
        "independent_transform",
    ],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class ImageReader:
    """Images to positions and identity descriptors; a pytree.

    Attributes:
        classifier: of the axes' attributes, a pytree.
        independent: independent networks, pytrees.
        identity: identity networks, pytrees.
        columns: the classifier's column of each attribute of the axes.
        quantile_transform: of the axes.
        independent_transform: of the columns of the independent networks; None where there are none, or before it is
            fitted.
    """

    __no_type_check__ = True

    classifier: Network
    independent: tuple[Network, ...]
    identity: tuple[Network, ...]
    columns: Int[Array, " num_attributes"]
    quantile_transform: QuantileTransform
    independent_transform: QuantileTransform | None = None

    @classmethod
    def of(
        cls, axes: AttributeAxes, classifier: AttributeClassifier, networks: RefinementNetworks
    ) -> "ImageReader":
        """The reader of the attributes of axes.

        Raises:
            InputError: if the classifier lacks an attribute of the axes, or names come twice.
        """
        names = tuple(classifier.names)
        missing = [name for name in axes.attribute_names if name not in names]
        if missing:
            raise InputError(
                f"classifier: expected the attributes of the axes, {', '.join(axes.attribute_names)}; "
                f"found no {missing[0]!r}"
            )
        columns = [*axes.attribute_names, *networks.independent_names()]
        if len(set(columns)) < len(columns):
            raise InputError(f"independent networks: expected names that differ, got {', '.join(columns)}")
        return cls(
            as_argument(classifier),
            tuple(as_argument(network) for network in networks.independent),
            tuple(as_argument(network) for network in networks.identity),
            jnp.asarray([names.index(name) for name in axes.attribute_names]),
            axes.quantile_transform,
        )

    def raw(
        self, images: Float[Array, "batch height width 3"]
    ) -> tuple[
        Float[Array, "batch num_attributes"], Float[Array, "batch num_independent"], tuple[Array, ...]
    ]:
        """Raw values of the attributes, those of the independent networks, and descriptors."""
        values, descriptors = [jnp.zeros((len(images), 0))], [network(images) for network in self.identity]
        for network in self.independent:
            found: Any = network(images)
            if isinstance(found, tuple):
                found, descriptor = found
                descriptors.append(descriptor)
            values.append(found)
        return self.classifier(images)[:, self.columns], jnp.concatenate(values, axis=1), tuple(descriptors)

    def __call__(self, images: Float[Array, "batch height width 3"]) -> tuple[Array, tuple[Array, ...]]:
        """Positions in standard deviations, and descriptors."""
        values, independent, descriptors = self.raw(images)
        return self.positions(values, independent), descriptors

    def positions(
        self, values: Float[Array, "batch num_attributes"], independent: Float[Array, "batch num_independent"]
    ) -> Float[Array, "batch num_columns"]:
        """Positions of raw values."""
        positions = self.quantile_transform.transform(values)
        if self.independent_transform is None:
            return positions
        return jnp.concatenate([positions, self.independent_transform.transform(independent)], axis=1)

    def fitted(
        self, independent: Float[np.ndarray, "num_latents num_independent"], names: Sequence[str]
    ) -> "ImageReader":
        """The reader with the quantile transform of the independent networks.

        Raises:
            InputError: if a column is not finite, or does not vary.
        """
        if not names:
            return self
        return dataclasses.replace(self, independent_transform=fit_quantile_transform(independent, names))


def check_differentiable(
    reader: ImageReader,
    images: Float[Array, "batch height width 3"],
    columns: Sequence[str],
) -> None:
    """Raise unless every column has a derivative with respect to the image, in one of some images at least.

    Raises:
        InputError: naming the first column whose gradients are all zero or not finite, or what JAX says if there are
            none.
    """
    advice = "give method='regression' (which reads the classifier alone), or a differentiable network"
    try:
        lengths = np.stack([np.asarray(_gradient_lengths(reader, image[None])) for image in images])
    except InputError:
        raise
    except (TypeError, ValueError, NotImplementedError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(
            f"classifier: expected one that JAX can differentiate, got {type(error).__name__}: {said}; {advice}"
        ) from error
    usable = np.isfinite(lengths) & (lengths > 0)
    for column, is_usable in zip(columns, usable.any(0), strict=True):
        if not is_usable:
            what = "zero" if np.isfinite(lengths[:, list(columns).index(column)]).all() else "NaN or infinite"
            raise InputError(
                f"classifier: expected values that are differentiable in the image; the gradient of {column!r} is "
                f"{what} in all of {len(images)} images; {advice}"
            )


@jax.jit
def _gradient_lengths(
    reader: ImageReader, image: Float[Array, "1 height width 3"]
) -> Float[Array, " num_columns"]:
    def columns(image: Array) -> Array:
        values, independent, _ = reader.raw(image)
        return jnp.concatenate([values, independent], axis=1)[0]

    values, transpose = jax.vjp(columns, image)
    return jax.lax.map(lambda row: jnp.sqrt((transpose(row)[0] ** 2).sum()), jnp.eye(len(values)))
