"""The face networks by name: fetched, converted once, kept as a checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jaxedit.attributes.faces.detector import FaceDetector
from jaxedit.attributes.faces.networks import FaceNetworks
from jaxedit.errors import CheckpointError
from jaxedit.storage.cache import cached_checkpoint
from jaxedit.storage.checkpoints import load_checkpoint
from jaxedit.storage.download import FACE_API, fetch
from weights_conversion.models.face_api import convert_face_api

T = TypeVar("T")

KIND = "face-api"
"""The kind of the checkpoint folder."""

_LAYOUT = 2  # part of the folder's name: raised whenever the converted names or shapes change


def load_face_networks(folder: str | Path | None = None) -> FaceNetworks:
    """The networks of face-api that look at one face.

    Args:
        folder: a checkpoint folder of kind "face-api"; by default the one in the cache, which is made
            first where it is absent or damaged (this fetches 13 MB once). Processes that start together make
            it once.

    Raises:
        DownloadError: if the source cannot be fetched.
        CheckpointError: if `folder` is given and is missing, damaged, or of another kind.
        OutputError: if the cache cannot be written.
    """
    return _load(folder, FaceNetworks)


def load_face_detector(folder: str | Path | None = None) -> FaceDetector:
    """The network of face-api that finds faces; from the same folder as the others.

    Args:
        folder: as for `load_face_networks`.

    Raises:
        DownloadError, CheckpointError, OutputError: as `load_face_networks` does.
    """
    return _load(folder, lambda config, arrays: FaceDetector(config["detector"], arrays["detector"]))


def _load(folder: str | Path | None, build: Callable[[dict[str, Any], dict[str, Any]], T]) -> T:
    if folder is not None:
        name = str(folder)
        config, arrays = load_checkpoint(folder, kind=KIND)
    else:
        name = f"face-api-{FACE_API.version}-{_LAYOUT}"
        config, arrays = cached_checkpoint(name, kind=KIND, make=lambda: convert_face_api(fetch(FACE_API)))
    try:
        return build(config, arrays)
    except KeyError as error:
        raise CheckpointError(f"{name}: damaged: {error} is missing") from error
