"""Checkpoints in the user's cache: made once, by one process, whole or not at all."""

from collections.abc import Callable
from typing import Any

import filelock

from jaxedit.checkpoint import load_checkpoint, save_checkpoint
from jaxedit.errors import CheckpointError, OutputError
from jaxedit.sources import cache_dir


def cached_checkpoint(
    name: str, *, kind: str, make: Callable[[], tuple[dict[str, Any], dict[str, Any]]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config and arrays of a checkpoint in the cache, which is made where it is absent or damaged.

    Args:
        name: of the folder below `checkpoints/` in the cache. It should change with whatever changes the content.
        kind: of the checkpoint.
        make: gives config and arrays. Of processes that start together one calls it; the others wait for the result.

    Raises:
        OutputError: if the cache cannot be written.
    """
    folder = cache_dir() / "checkpoints" / name
    if folder.is_dir():
        try:
            return load_checkpoint(folder, kind=kind)
        except CheckpointError:
            pass  # made anew below
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.parent / f".{name}.lock"):
            try:
                return load_checkpoint(folder, kind=kind)  # another process may have made it meanwhile
            except CheckpointError:
                config, arrays = make()
                save_checkpoint(folder, kind=kind, config=config, arrays=arrays)
                return config, arrays
    except OSError as error:
        raise OutputError(f"{folder}: could not write to the cache: {error}") from error
