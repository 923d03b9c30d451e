"""Edits to a value that the image shows: the amount is corrected by what a classifier reads off the edited image.

`AttributeAxes.edit(…, absolute=True)` starts from the value that it reads off the latent, and trusts the axis: both
err. Here the image is drawn and read, and the amount corrected by what is missing, a few times (a secant of slope one:
an axis is calibrated so that an amount of one moves the reading by about one standard deviation).
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.attributes.classifier import AttributeClassifier, as_argument
from jaxedit.attributes.person.places import FacePlaces
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.in_places import draw_in_places, stages_of
from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator

_MOST = 4.0
"""Amounts beyond break faces, and a value that is not reached by then is not reached at all."""


def amounts_to_show(
    generator: Generator,
    axes: AttributeAxes,
    classifier: AttributeClassifier,
    w: Float[Array | np.ndarray, "batch *num_ws w_dim"],
    values: Mapping[str, float],
    *,
    places: FacePlaces | None = None,
    rounds: int = 4,
    noise: dict[str, Array] | None = None,
    **options: Any,
) -> tuple[dict[str, Float[np.ndarray, " batch"]], dict[str, Float[np.ndarray, " batch"]]]:
    """The amounts of an edit after which the image shows some values.

    Args:
        generator: makes the images.
        axes: of this generator.
        classifier: reads the attributes off images, as it did for the labels of the axes.
        w: latents of W or W+.
        values: of the attributes to reach, in their units.
        places: draws each attribute at its own place, as `edit_in_places`; None changes whole images.
        rounds: images that are read, the unedited ones among them. The nearest one of each latent is kept.
        noise: noise images by layer; by default the generator's own.
        **options: `layers` and `pivot` of `AttributeAxes.edit`.

    Returns:
        Amounts in standard deviations by attribute, for `AttributeAxes.edit` or `edit_in_places`, and the values that
        the images with them show. Amounts end at ±4: a value that is farther is not reached.

    Raises:
        InputError: if an attribute is unknown to the axes or to the classifier, or as `AttributeAxes.edit`.

    Examples:
        >>> import jax.numpy as jnp
        >>> from jaxedit import load_axes, load_generator
        >>> from jaxedit.attributes.faces.face_attributes import FaceAttributes
        >>> from jaxedit.axes.seen_values import amounts_to_show
        >>> generator = load_generator("mobile-stylegan-ffhq")
        >>> axes, w = load_axes("mobile-stylegan-ffhq", generator), generator.mapping(jnp.ones((1, 512)))
        >>> amounts, seen = amounts_to_show(generator, axes, FaceAttributes(), w, {"age": 60.0})
        >>> abs(float(seen["age"][0]) - 60) < 6
        True
    """
    names = list(values)
    for known, whose in ((axes.attribute_names, "axes"), (tuple(classifier.names), "classifier")):
        missing = [name for name in names if name not in known]
        if missing:
            raise InputError(
                f"values: expected attributes of the {whose}, {', '.join(known)}; got {missing[0]!r}"
            )
    if rounds < 1:
        raise InputError(f"rounds: expected 1 or more, got {rounds}")
    network, batch = as_argument(classifier), len(w)
    column = [tuple(classifier.names).index(name) for name in names]
    own = np.array([axes.attribute_names.index(name) for name in names])

    def positions(raw: Float[np.ndarray, "rows num_values"]) -> Float[np.ndarray, "rows num_values"]:
        every = np.zeros((len(raw), len(axes.attribute_names)), np.float32)
        every[:, own] = raw
        return np.asarray(axes.quantile_transform.transform(jnp.asarray(every)))[:, own]

    target = positions(np.asarray([list(values.values())], np.float32))
    amounts = np.zeros((batch, len(names)), np.float32)
    nearest, shown, least = amounts.copy(), amounts.copy(), np.full(batch, np.inf)
    for _ in range(rounds):
        edits = {name: amounts[:, i] for i, name in enumerate(names)}
        raw = np.asarray(_read(network, _drawn(generator, axes, w, edits, places, noise, options)))[:, column]
        left = target - positions(raw)
        is_nearer = np.abs(left).max(1) < least
        nearest[is_nearer], shown[is_nearer] = amounts[is_nearer], raw[is_nearer]
        least = np.minimum(least, np.abs(left).max(1))
        amounts = np.clip(amounts + left, -_MOST, _MOST).astype(np.float32)
    return tuple({name: of[:, i] for i, name in enumerate(names)} for of in (nearest, shown))  # type: ignore[return-value]


def _drawn(
    generator: Generator,
    axes: AttributeAxes,
    w: Array | np.ndarray,
    edits: Mapping[str, Any],
    places: FacePlaces | None,
    noise: dict[str, Array] | None,
    options: Mapping[str, Any],
) -> Array:
    if places is None:
        return _whole(generator, axes.edit(w, edits, **options), {} if noise is None else {"noise": noise})
    stages, where = stages_of(axes, w, edits, **options)
    return draw_in_places(generator, stages, where, places, noise=noise).edited


@jax.jit
def _whole(generator: Any, w: Array, noise: dict[str, Any]) -> Array:
    return jnp.clip(generator.synthesis(w, **noise), -1, 1)


@jax.jit
def _read(network: Any, images: Array) -> Array:
    return network(images)
