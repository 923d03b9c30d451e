"""Attribute values and identity of faces, by the networks that the default axes are learned from."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Shaped

from jaxedit.attributes.faces.color import measure_colors
from jaxedit.attributes.faces.crop import (
    FACE_LEFT,
    FACE_SIDE,
    FACE_TOP,
    crop_faces,
    prepare_images,
)
from jaxedit.attributes.faces.geometry import MIRRORED, measure_geometry
from jaxedit.attributes.faces.networks import FaceNetworks, IdentityNet
from jaxedit.nn.resize import resample

_COLOR_SIZE = 128  # pixels a side of the image that colors are measured in


@dataclasses.dataclass(frozen=True)
class FaceAttribute:
    """One attribute of [`FaceAttributes`][jaxedit.attributes.faces.face_attributes.FaceAttributes].

    Attributes:
        name: its name.
        unit: its unit: "years", "degrees", "logit" (natural log-odds), "% of eyes" (hundredths of the
            distance of the eyes, see `faces.geometry`), "Lab" (units of CIE Lab), "log Lab" (logarithm of
            Lab units).
        meaning: what a larger value means.
    """

    name: str
    unit: str
    meaning: str


FACE_ATTRIBUTES = (
    FaceAttribute("age", "years", "older"),
    FaceAttribute("gender", "logit", "more feminine: log-odds of female against male"),
    FaceAttribute("smile", "logit", "happier: log-odds of happy against all other expressions"),
    FaceAttribute("yaw", "degrees", "the head turned to the image's right"),
    FaceAttribute("pitch", "degrees", "the head tilted up"),
    FaceAttribute("roll", "degrees", "the head leaning clockwise in the image"),
    FaceAttribute("mouth_opening", "% of eyes", "a wider gap between the lips"),
    FaceAttribute("mouth_width", "% of eyes", "a broader mouth"),
    FaceAttribute("eye_opening", "% of eyes", "eyes wider open"),
    FaceAttribute("brow_height", "% of eyes", "brows higher above the eyes"),
    FaceAttribute("face_width", "% of eyes", "a broader face at the cheekbones"),
    FaceAttribute("jaw_width", "% of eyes", "a broader jaw at the height of the mouth"),
    FaceAttribute("face_length", "% of eyes", "a longer face from eyes to chin"),
    FaceAttribute("nose_width", "% of eyes", "a broader nose"),
    FaceAttribute("skin_lightness", "Lab", "lighter cheeks (L*)"),
    FaceAttribute("skin_redness", "Lab", "redder cheeks (a*)"),
    FaceAttribute("skin_yellowness", "Lab", "yellower cheeks (b*)"),
    FaceAttribute("light_from_right", "Lab", "the image's right cheek lighter than the left one"),
    FaceAttribute("hair_lightness", "Lab", "lighter above the forehead: hair, hat or bald head (L*)"),
    FaceAttribute("hair_warmth", "Lab", "yellower above the forehead (b*)"),
    FaceAttribute("lip_redness", "Lab", "the lower lip redder than the cheeks"),
    FaceAttribute("background_lightness", "Lab", "lighter upper corners (L*)"),
    FaceAttribute("background_warmth", "Lab", "yellower upper corners (b*)"),
)
"""Every attribute, in the order of the columns."""


class FaceAttributes(nnx.Module):
    """Continuous attribute values of FFHQ-style aligned face images.

    Age comes from a network; gender and expressions are its logits before the softmax, because probabilities
    saturate; pose and shape come from 68 landmarks; colors from regions that the landmarks place. All
    values are estimates of an image's appearance by small networks and say nothing certain about a person.

    An [`AttributeClassifier`][jaxedit.attributes.classifier.AttributeClassifier] and a pytree: pass it to
    `jax.jit` as an argument.
    """

    def __init__(self, networks: FaceNetworks | None = None) -> None:
        """Use the given networks; by default those of `FaceNetworks.from_pretrained()`.

        Raises:
            DownloadError, OutputError: as `FaceNetworks.from_pretrained` does.
        """
        networks = networks or FaceNetworks.from_pretrained()
        self.age_gender = networks.age_gender
        self.expressions = networks.expressions
        self.landmarks = networks.landmarks
        self.expression_names = networks.expression_names
        self.genders = networks.genders

    @property
    def names(self) -> tuple[str, ...]:
        """The attribute names, one for each column of the result."""
        return tuple(attribute.name for attribute in FACE_ATTRIBUTES)

    @property
    def units(self) -> tuple[str, ...]:
        """The units, one for each column of the result."""
        return tuple(attribute.unit for attribute in FACE_ATTRIBUTES)

    def __call__(
        self, images: Shaped[Array, "batch height width channels"]
    ) -> Float[Array, "batch num_attributes"]:
        """The attribute values, float32, of square RGB images, floats in [-1, 1] (clipped to it) or uint8.

        Args:
            images: aligned as FFHQ is, 256 pixels a side or more (down to 128 with less precision).

        Raises:
            InputError: if the images are not square RGB of 128 pixels or more.
        """
        values = self.measure(images)
        return jnp.stack([values[name] for name in self.names], 1)

    def measure(
        self, images: Shaped[Array, "batch height width channels"]
    ) -> dict[str, Float[Array, " batch"]]:
        """The attribute values by name."""
        images = prepare_images(images)
        # Labels must not depend on the accelerator's habit of rounding matrix products to bfloat16 or TF32.
        with jax.default_matmul_precision("float32"):
            crops = crop_faces(images)
            mirrored = crops[:, :, ::-1]
            landmarks = _both_sides(self.landmarks, crops, mirrored)
            whole = resample(images, _COLOR_SIZE)
            placed = _in_image(landmarks)
            geometry = measure_geometry(landmarks)
            return {
                **self._age_gender(crops, mirrored),
                "smile": self._smile(crops, mirrored),
                **geometry,
                **measure_colors(whole, placed, geometry["yaw"]),
            }

    # Values are means over the crop and its mirror image. The networks differ between the two by up to ten years,
    # which is noise to the axes; and no mean prefers a side.

    def _age_gender(
        self, crops: Float[Array, "batch size size 3"], mirrored: Float[Array, "batch size size 3"]
    ) -> dict[str, Float[Array, " batch"]]:
        seen = (self.age_gender(crops), self.age_gender(mirrored))
        age, logits = jax.tree.map(lambda one, other: (one + other) / 2, *seen)
        male, female = (logits[:, self.genders.index(gender)] for gender in ("male", "female"))
        return {"age": age, "gender": female - male}

    def _smile(
        self, crops: Float[Array, "batch size size 3"], mirrored: Float[Array, "batch size size 3"]
    ) -> Float[Array, " batch"]:
        # None of the other six expressions makes an axis: on generated faces they follow the absence of a smile, and
        # viewers do not see their order among faces that do not smile.
        logits = (self.expressions(crops) + self.expressions(mirrored)) / 2
        happy = self.expression_names.index("happy")
        rest = jnp.delete(logits, happy, axis=1, assume_unique_indices=True)
        return logits[:, happy] - jax.nn.logsumexp(rest, axis=1)


def face_landmarks(
    network: Callable[[Array], Array], images: Shaped[Array, "batch side side 3"]
) -> Float[Array, "batch 68 2"]:
    """The 68 landmarks (iBUG scheme) of FFHQ-style images, (x, y) in fractions of the image's side.

    Args:
        network: that of `FaceNetworks.landmarks`.
        images: RGB, floats in [-1, 1] or uint8.

    Raises:
        InputError: if the images are not square RGB of 128 pixels or more.
    """
    with jax.default_matmul_precision("float32"):
        crops = crop_faces(images)
        return _in_image(_both_sides(network, crops, crops[:, :, ::-1]))


def _both_sides(
    network: Callable[[Array], Array],
    crops: Float[Array, "batch size size 3"],
    mirrored: Float[Array, "batch size size 3"],
) -> Float[Array, "batch 68 2"]:
    """Landmarks in the crop, as the mean over it and its mirror image."""
    back = network(mirrored)[:, MIRRORED] * jnp.asarray([-1, 1]) + jnp.asarray([1, 0])
    return (network(crops) + back) / 2


def _in_image(landmarks: Float[Array, "batch 68 2"]) -> Float[Array, "batch 68 2"]:
    return jnp.asarray([FACE_LEFT, FACE_TOP]) + FACE_SIDE * landmarks


class FaceIdentity(nnx.Module):
    """Images → 128 numbers, which are near for images of one person. A pytree, like `FaceAttributes`."""

    def __init__(self, network: IdentityNet | None = None) -> None:
        """Use the given network; by default that of `FaceNetworks.from_pretrained()`."""
        self.network = network or FaceNetworks.from_pretrained().identity

    def __call__(self, images: Shaped[Array, "batch height width channels"]) -> Float[Array, "batch 128"]:
        """The descriptors of square RGB images in [-1, 1], aligned as FFHQ is.

        Compare descriptors by Euclidean distance: below about 0.6 it is the same person.

        Raises:
            InputError: if the images are not square RGB of 128 pixels or more.
        """
        with jax.default_matmul_precision("float32"):
            return self.network(crop_faces(images))
