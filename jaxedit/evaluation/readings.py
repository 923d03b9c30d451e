"""Readings: what the evaluators read of each image, and how the folder of an evaluation keeps it.

    run.json                                    what was asked for (`EvaluationRequest`)
    measurements/unedited.npz                   readings of the unedited faces
    measurements/scales.npz                     maps from raw values to standard deviations (`scales`)
    measurements/METHOD/ATTRIBUTE/UNIT.npz      readings of edited faces, [num_amounts, num_faces, ...]
    measurements/METHOD/ATTRIBUTE/images.npz    small images for contact sheets; likewise unedited_images.npz

A unit (`search`, `refined-1`, `refined-2`, `faces`, `slider`, `calibration`) holds `amounts`; raw values, "values" of
the classifier and "independent.NAME" of independent networks; distances from the unedited face, "identity.NAME" and
"perceptual"; the cosine between the descriptors of both, "similarity.NAME" (not in units of earlier versions); what
changed outside the person, "background.share" (of the image), "background.squared" and "background.perceptual" (over
the whole image, in which nothing but the background differs); and the conditions under which it was read
("when.NAME"). Under other conditions it is read again.

    measurements/METHOD/codes.npz               codes of the unedited faces by a method (`code_scores`)
"""

import re
from pathlib import Path

import numpy as np

from jaxedit.errors import InputError
from jaxedit.storage.paths import as_path
from jaxedit.storage.runs import RunFolder

KIND = "evaluation"
_EARLIER_REQUEST_FILE = "job.json"

Readings = dict[str, np.ndarray]
"""Readings of all evaluators, a row for each image: "values", "independent.NAME", and, relative to the unedited face,
"identity.NAME" and "perceptual"."""

UNEDITED = "measurements/unedited"
"""The unit of the unedited faces."""

SCALES = "measurements/scales"
"""The unit of the maps from raw values to standard deviations."""

UNEDITED_IMAGES = "measurements/unedited_images"
"""The unit of small images of the first unedited faces."""


def similarity_key(network: str) -> str:
    """The key of the cosines of descriptors, edited to unedited, in the readings of a stage."""
    return f"similarity.{network}"


def unit_name(method: str, attribute: str, unit: str) -> str:
    """The unit of one method, attribute and stage, as `RunFolder` names it."""
    return f"measurements/{folder_name(method)}/{folder_name(attribute)}/{unit}"


def method_unit(method: str, unit: str) -> str:
    """The unit of one method, whatever the attribute."""
    return f"measurements/{folder_name(method)}/{unit}"


def folder_name(name: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^\w.+=-]+", "_", name).strip(".") or "_"


def load_folder(path: str | Path) -> RunFolder:
    """The folder of an evaluation that exists.

    Raises:
        InputError: if there is none, it is damaged, or an earlier version wrote it.
    """
    refuse_earlier_version(as_path(path))
    return RunFolder.load(path, kind=KIND)


def refuse_earlier_version(path: Path) -> None:
    """Raise for a folder of a version whose readings have other names.

    Raises:
        InputError: if an earlier version of the library wrote the folder.
    """
    if (path / _EARLIER_REQUEST_FILE).is_file():
        raise InputError(
            f"{path}: holds an evaluation by an earlier version of jaxedit ({_EARLIER_REQUEST_FILE}), which this one "
            "does not read; give another folder"
        )
