"""Nested dicts of arrays as Orbax writes them, with its errors in one line.

Orbax is imported where its folders are read or written: the import takes as long as an edit.
"""

import errno
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxedit.environment import check_devices
from jaxedit.errors import CheckpointError, JaxeditError
from jaxedit.storage.atomic import reserve
from jaxedit.storage.hashes import first_damaged_file

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

_OVERHEAD = 200_000
"""Bytes that Orbax needs besides the arrays, generously."""

_LAST_THREADS_SECONDS = 5.0
"""How long a failed write waits at most until the threads that it leaves behind do nothing any more."""

_LOOK_SECONDS, _QUIET_LOOKS = 0.02, 5
"""Time between two looks at the threads, and the number of looks in a row that find none at work."""

_DAMAGE_STATUS = ("DATA_LOSS", "NOT_FOUND", "FAILED_PRECONDITION", "INVALID_ARGUMENT", "OUT_OF_RANGE")
"""What TensorStore says of files whose content it has checked and found wrong."""


def write_orbax(folder: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays into a new folder.

    Raises:
        OSError: if the disk is full.
        JaxeditError: if it fails otherwise; the message is the cause.
    """
    check_devices()
    arrays = jax.tree.map(np.asarray, dict(arrays))
    # Orbax cannot be stopped cleanly: its threads go on for a while after one of them has failed.
    reserve(folder.parent, sum(leaf.nbytes for leaf in jax.tree.leaves(arrays)) + _OVERHEAD)
    try:
        with _quiet_orbax(folder), _writer() as checkpointer:
            checkpointer.save(folder, arrays)
    except Exception as error:  # a full disk is a ValueError of TensorStore's
        cause = _cause(error)
        if os.strerror(errno.ENOSPC) in cause:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise JaxeditError(cause) from error


def read_orbax(folder: Path, described: Mapping[str, Any] | None) -> dict[str, Any]:
    """Read a nested dict of NumPy arrays.

    Args:
        folder: that Orbax wrote.
        described: its files as `describe_files` gives them, if they are known.

    Raises:
        CheckpointError: if the files were checked and found damaged.
        JaxeditError: if it fails otherwise; the message is the error's own.
    """
    check_devices()
    import orbax.checkpoint as ocp

    try:
        handler = ocp.PyTreeCheckpointHandler(**_alone())
        with _quiet_orbax(folder), ocp.Checkpointer(handler, **_alone()) as checkpointer:
            metadata = checkpointer.metadata(folder)
            tree = metadata.item_metadata.tree if hasattr(metadata, "item_metadata") else metadata
            arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
            return checkpointer.restore(folder, restore_args=arguments)
    except Exception as error:  # Orbax and TensorStore raise many kinds
        damage = _damage(folder, described, error)
        if damage is not None:
            raise CheckpointError(f"{folder}: damaged: {damage}") from error
        known = "" if described is None else ", though their files are whole"
        raise JaxeditError(
            f"{folder}: could not read the arrays{known}: {type(error).__name__}: {_cause(error)}"
        ) from error


def _damage(folder: Path, described: Mapping[str, Any] | None, error: Exception) -> str | None:
    """What is wrong with the files, as far as that can be checked."""
    if described is not None and (found := first_damaged_file(folder, described)) is not None:
        return found
    for name in ("_METADATA", "manifest.ocdbt", "d"):
        if not (folder / name).exists():
            return f"{name} is missing"
    try:
        json.loads((folder / "_METADATA").read_bytes())
    except (ValueError, RecursionError) as wrong:
        return f"_METADATA: {wrong}"
    except OSError:
        return None
    if str(error).startswith(_DAMAGE_STATUS):
        return _cause(error)
    return None


def _cause(error: Exception) -> str:
    """The cause at the end of TensorStore's long messages."""
    first_line = (str(error) or type(error).__name__).splitlines()[0]
    return first_line.rsplit('": ', 1)[-1]


@contextmanager
def _quiet_orbax(folder: Path) -> Iterator[None]:
    """Orbax logs each of its steps, and each error once for every thread it passes; ours is raised once instead.

    Threads that still run when it fails report that its event loop is closed, each with a traceback. Where several
    files fail, asyncio reports those errors that nobody has waited for, when they are forgotten.
    """
    logger, unraisable, uncaught = logging.getLogger("absl"), sys.unraisablehook, sys.excepthook
    level = logger.level

    def show_unraisable(found: Any) -> None:
        if not _is_closed_loop(found.exc_value):
            unraisable(found)

    def show_uncaught(kind: Any, error: BaseException, traceback: Any) -> None:
        if not _is_closed_loop(error):
            uncaught(kind, error, traceback)

    def is_news(record: logging.LogRecord) -> bool:
        return record.exc_info is None or str(folder) not in str(record.exc_info[1])

    logger.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook, sys.excepthook = show_unraisable, show_uncaught
    try:
        yield
    except Exception:
        # What the threads outlive this by, they report to the hooks and the filter, which stay.
        logging.getLogger("asyncio").addFilter(is_news)
        _wait_for_threads()
        raise
    else:
        sys.unraisablehook, sys.excepthook = unraisable, uncaught
    finally:
        logger.setLevel(level)


def _wait_for_threads() -> None:
    """Wait until no other thread of this process is at work: those of TensorStore cannot be joined."""
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():  # not Linux
        time.sleep(_LOOK_SECONDS * 3 * _QUIET_LOOKS)
        return
    own, quiet, end = threading.get_native_id(), 0, time.monotonic() + _LAST_THREADS_SECONDS
    while quiet < _QUIET_LOOKS and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)
        others = (task for task in tasks.iterdir() if task.name != str(own))
        quiet = 0 if any(_is_at_work(task) for task in others) else quiet + 1


def _is_at_work(task: Path) -> bool:
    """Whether a thread runs, waits for a processor, or for a disk."""
    try:
        state = (task / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):  # it has ended
        return False
    return state in ("R", "D")


def _is_closed_loop(error: BaseException | None) -> bool:
    return isinstance(error, RuntimeError) and "Event loop is closed" in str(error)


def _alone() -> dict[str, Any]:
    """Orbax's options by which a process reads and writes by itself.

    Otherwise Orbax waits for all processes of a run, at each step of what only one of them may be doing.
    """
    import orbax.checkpoint as ocp

    if jax.process_count() == 1:
        return {}
    own = jax.process_index()
    options = ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process_{own}"
    )
    return {"multiprocessing_options": options}


def _writer() -> "ocp.StandardCheckpointer":
    import orbax.checkpoint as ocp

    # Of one process alone Orbax makes folders only while it is waited for.
    at_once = ocp.options.AsyncOptions(create_directories_asynchronously=False)
    return ocp.StandardCheckpointer(async_options=at_once, **_alone())
