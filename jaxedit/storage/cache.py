"""Checkpoints in the user's cache: made once, by one process, whole or not at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import filelock

from jaxedit.errors import CheckpointError, OutputError, conversion_errors
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint
from jaxedit.storage.download import cache_dir

T = TypeVar("T")


def checkpoint_folder(name: str) -> Path:
    """Where the cache keeps a checkpoint. The name should change with whatever changes the content."""
    return cache_dir() / "weights" / name


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Of processes that start together, one at a time.

    Raises:
        OutputError: if the cache cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        held = filelock.FileLock(folder.parent / f".{folder.name}.lock").acquire()
    except OSError as error:
        raise OutputError(f"{folder}: could not write to the cache: {error}") from error
    with held:
        yield


def cached(folder: Path, *, load: Callable[[Path], T], make: Callable[[Path], T]) -> T:
    """What a folder in the cache holds, which is made where it is absent or damaged.

    Args:
        folder: in the cache.
        load: reads it; raises `CheckpointError` if it is absent or damaged.
        make: writes it and gives the same. Of processes that start together one calls it; the others wait for it.

    Raises:
        OutputError: if the cache cannot be written.
    """
    try:
        return load(folder)  # without the lock: a read-only cache that is already filled will do
    except CheckpointError:
        pass
    with locked(folder):
        try:
            return load(folder)  # another process may have made it meanwhile
        except CheckpointError:
            return make(folder)


def cached_checkpoint(
    name: str, *, kind: str, make: Callable[[], tuple[dict[str, Any], dict[str, Any]]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config and arrays of a checkpoint in the cache; `make` gives them where it is absent or damaged.

    Raises:
        CheckpointError: if `make` converts a foreign file that is damaged or holds something else.
        OutputError: if the cache cannot be written.
    """

    def make_and_save(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        with conversion_errors():
            config, arrays = make()
        save_checkpoint(folder, kind=kind, config=config, arrays=arrays, file_format="npz", replace_any=True)
        return config, arrays

    return cached(
        checkpoint_folder(name), load=lambda folder: load_checkpoint(folder, kind=kind), make=make_and_save
    )
