"""Known generators: which weights they have, and which files of the package belong to them."""

import importlib.resources
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jaxedit.errors import InputError
from jaxedit.storage.download import RANDOM_FACE, Source
from weights_conversion.models.mobile_stylegan import convert_wheel


class KnownGenerator(NamedTuple):
    """A generator that is loaded by name, and the files that ship for it (in `jaxedit/pretrained/data`)."""

    source: Source
    """The archive of the weights."""
    convert: Callable[[Path], tuple[dict[str, Any], dict[str, Any]]]
    """Config and arrays of the generator from the archive."""
    layout: int
    """Part of the folder's name in the cache. Raise it when the converted names, shapes or numbers change."""
    labels: str
    """File of labels, from which the axes are learned."""
    annotations: str
    """File of labels that were read off images by eye (`jaxedit.labels.annotations`)."""
    axes: str
    """File of axes, without curves; `jaxedit.pretrained.make_axes` writes it."""
    curves: str
    """File of the curves of the axes, one for each layer of W+."""
    ranges: str
    """File of the amounts between which the axes are usable; `jaxedit ranges` writes it."""
    encoder: str
    """File of the encoder of photographs (`jaxedit.inversion.encoder`); `jaxedit train-encoder` makes such ones."""
    second_view: str
    """File of what networks that the axes were not learned from read off some images (`pretrained.second_view`)."""
    evaluation: str
    """File of what these axes, and other methods, change in images."""
    license_note: str
    """The licence of the weights, for people."""
    labels_note: str
    """How the images were labeled from which the axes were learned, for people."""


KNOWN_GENERATORS = {
    "mobile-stylegan-ffhq": KnownGenerator(
        source=RANDOM_FACE,
        convert=convert_wheel,
        layout=1,
        labels="mobile_stylegan_ffhq_labels.npz",
        annotations="mobile_stylegan_ffhq_annotations.npz",
        axes="mobile_stylegan_ffhq_axes.npz",
        curves="mobile_stylegan_ffhq_curves.npz",
        ranges="mobile_stylegan_ffhq_ranges.json",
        encoder="mobile_stylegan_ffhq_encoder.npz",
        second_view="mobile_stylegan_ffhq_second_view.npz",
        evaluation="mobile_stylegan_ffhq_evaluation.json",
        license_note="The weights of mobile-stylegan-ffhq descend from NVIDIA's StyleGAN2 trained on FFHQ, whose data "
        "and code are for non-commercial research.",
        labels_note="On generated images. Networks for faces measured age, gender, expression, pose and the shape of "
        "the face; colors were measured in regions of the face. A vision-language model read glasses, hair, headwear, "
        "make-up and the like off contact sheets of 6,000 images; a classifier learned from these marks labeled all.",
    )
}


def data_path(name: str) -> Path:
    """The path of a file that ships with the package."""
    return Path(str(importlib.resources.files("jaxedit.pretrained"))) / "data" / name


def evaluation_path(name: str) -> Path:
    """The file of what the axes of a known generator change in images (`jaxedit.evaluation.report.published`).

    Raises:
        InputError: if the name is unknown.
    """
    if name not in KNOWN_GENERATORS:
        raise InputError(f"evaluation {name!r}: expected one of {', '.join(KNOWN_GENERATORS)}")
    return data_path(KNOWN_GENERATORS[name].evaluation)
