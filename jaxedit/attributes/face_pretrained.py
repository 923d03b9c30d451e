"""The face networks by name: fetched, converted once, kept as a checkpoint."""

from pathlib import Path

import filelock

from jaxedit.attributes.face_api import FaceNetworks
from jaxedit.checkpoint import load_checkpoint, save_checkpoint
from jaxedit.errors import CheckpointError, OutputError
from jaxedit.sources import FACE_API, cache_dir, fetch
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
        return _load(Path(folder))
    cached = cache_dir() / "checkpoints" / f"face-api-{FACE_API.version}-{_LAYOUT}"
    if cached.is_dir():
        try:
            return _load(cached)
        except CheckpointError:
            pass  # converted anew below
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(cached.parent / f".{cached.name}.lock"):
            try:
                return _load(cached)  # another process may have made it meanwhile
            except CheckpointError:
                config, arrays = convert_face_api(fetch(FACE_API))
                save_checkpoint(cached, kind=KIND, config=config, arrays=arrays)
                return FaceNetworks(config, arrays)
    except OSError as error:
        raise OutputError(f"{cached.parent}: could not write to the cache: {error}") from error


def _load(folder: Path) -> FaceNetworks:
    config, arrays = load_checkpoint(folder, kind=KIND)
    try:
        return FaceNetworks(config, arrays)
    except KeyError as error:
        raise CheckpointError(f"{folder}: damaged: {error} is missing") from error
