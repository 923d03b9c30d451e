"""The face networks by name: fetched, converted once, kept as a checkpoint."""

from pathlib import Path
from typing import Any

from jaxedit.attributes.face_api import FaceNetworks
from jaxedit.cache import cached_checkpoint
from jaxedit.checkpoint import load_checkpoint
from jaxedit.errors import CheckpointError
from jaxedit.sources import FACE_API, fetch
from weights_conversion.face_api import convert_face_api

KIND = "face-api"
"""The kind of the checkpoint folder."""

_LAYOUT = 1  # part of the folder's name: raised whenever the converted names or shapes change


def load_face_networks(folder: str | Path | None = None) -> FaceNetworks:
    """The networks of face-api.

    Args:
        folder: a checkpoint folder of kind "face-api"; by default the one in the cache, which is made
            first where it is absent or damaged (this fetches 13 MB once). Processes that start together make
            it once.

    Raises:
        DownloadError: if the source cannot be fetched.
        CheckpointError: if `folder` is given and is missing, damaged, or of another kind.
        OutputError: if the cache cannot be written.
    """
    if folder is not None:
        return _networks(*load_checkpoint(folder, kind=KIND), name=str(folder))
    name = f"face-api-{FACE_API.version}-{_LAYOUT}"
    return _networks(
        *cached_checkpoint(name, kind=KIND, make=lambda: convert_face_api(fetch(FACE_API))), name=name
    )


def _networks(config: dict[str, Any], arrays: dict[str, Any], *, name: str) -> FaceNetworks:
    try:
        return FaceNetworks(config, arrays)
    except KeyError as error:
        raise CheckpointError(f"{name}: damaged: {error} is missing") from error
