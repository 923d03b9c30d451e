"""Temporary files and folders: locked while they are written, and swept when their process is gone.

A temporary name is `.NAME.XXXXXXXX.partial`, beside the file or folder that it becomes. Its process holds a lock on it,
which the system releases when the process ends, however it ends. What has such a name and no lock is left over.
"""

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".partial"
REPLACED = ".replaced"
"""Of an older folder that steps aside where folders cannot be exchanged."""

_RANDOM = "[a-z0-9_]{8}"  # what tempfile draws
_TEMPORARY = re.compile(rf"\..+\.{_RANDOM}({re.escape(SUFFIX)}|{re.escape(REPLACED)})")
_OLD_SECONDS = 86400.0
"""Age at which a name without a working lock counts as left over."""


@contextlib.contextmanager
def temporary_file(path: Path) -> Iterator[tuple[int, Path]]:
    """A new locked file beside `path`, as an open handle and its name. It is removed at the end, unless renamed.

    Raises:
        OSError: if it cannot be made.
    """
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent)
        if _is_locked_by_us(handle, Path(name)):
            break
        os.close(handle)
    try:
        yield handle, Path(name)
    finally:
        os.close(handle)
        Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A new locked folder beside `path`. It is removed at the end, unless renamed.

    Raises:
        OSError: if it cannot be made.
    """
    while True:
        name = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent))
        handle = _open_folder(name)
        if handle is None or _is_locked_by_us(handle, name):
            break
        os.close(handle)
    try:
        yield name
    finally:
        remove_folder(name)
        if handle is not None:
            os.close(handle)


def is_temporary(name: str) -> bool:
    """Whether a name is that of a temporary file or folder, of this or of an earlier version."""
    return _TEMPORARY.fullmatch(name) is not None


def find(path: Path, suffix: str = SUFFIX) -> list[Path]:
    """The temporary files and folders of one name."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.{_RANDOM}{re.escape(suffix)}")
    try:
        with os.scandir(path.parent) as entries:
            return [path.parent / entry.name for entry in entries if pattern.fullmatch(entry.name)]
    except OSError:
        return []


def sweep(path: Path) -> None:
    """Remove what interrupted writes of `path` left beside it."""
    for left in find(path):
        _remove_if_left(left)
    if path.exists():  # else the older folder is found again
        for left in find(path, REPLACED):
            _remove_if_left(left)


def sweep_within(folder: Path) -> None:
    """Remove what interrupted writes left within a folder of this library, however deep."""
    for place, folders, files in os.walk(folder):
        for name in filter(is_temporary, (*folders, *files)):
            _remove_if_left(Path(place, name))
        folders[:] = [name for name in folders if not is_temporary(name)]


def remove_folder(folder: Path) -> None:
    """Remove a folder to which threads of a failed writer may still add files. What cannot be removed stays."""
    for pause in (0.0, 0.05, 0.2, 0.5):
        time.sleep(pause)
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            return


def _open_folder(folder: Path) -> int | None:
    try:
        return os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return None


def _is_locked_by_us(handle: int, path: Path) -> bool:
    """Lock a new file; False if it was swept before it was locked."""
    if fcntl is None:
        return True
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX)
    return path.exists()


def _remove_if_left(path: Path) -> None:
    with contextlib.suppress(OSError):  # gone meanwhile, or of another user
        is_folder = path.is_dir() and not path.is_symlink()
        if path.is_symlink() or not (is_folder or path.is_file()):
            return
        handle = _open_folder(path) if is_folder else os.open(path, os.O_RDONLY)
        try:
            if _is_left(handle, path):
                shutil.rmtree(path, ignore_errors=True) if is_folder else path.unlink()
        finally:
            if handle is not None:
                os.close(handle)


def _is_left(handle: int | None, path: Path) -> bool:
    if fcntl is not None and handle is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            pass
        else:
            return True
    return time.time() - path.stat().st_mtime > _OLD_SECONDS
