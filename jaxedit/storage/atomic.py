"""Files and folders that appear under their name only when they are whole."""

import ctypes
import errno
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxedit.errors import OutputError
from jaxedit.storage import leftovers
from jaxedit.storage.paths import as_path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_ATTEMPTS = 5
HARMLESS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What systems put into folders by themselves."""


def write_atomically(path: str | Path, content: bytes, *, replace: bool = True) -> Path:
    """Write a file under a temporary name beside it, then rename. What interrupted writes of it left is removed.

    Args:
        path: the file. Parent folders are made.
        content: of the file.
        replace: whether to replace an older file. If not, an older file stays, also if another process writes it now.

    Raises:
        OutputError: if that fails; nothing new is left then.
    """
    path = as_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        leftovers.sweep(path)
        with leftovers.temporary_file(path) as (handle, temporary):
            with os.fdopen(os.dup(handle), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            if replace or not _is_linked(temporary, path):
                temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: could not write: {reason(error)}") from error
    return path


@contextmanager
def whole_folder(folder: str | Path, *, check: Callable[[Path], None]) -> Iterator[Path]:
    """A temporary folder to write into, which takes the place of `folder` when it is whole.

    An older folder is exchanged for it in one step, where the system can (Linux). Elsewhere the older folder steps
    aside for a moment; a process that is killed in this moment leaves it to `recover`.

    Args:
        folder: where to. Parent folders are made. If it is a link, the folder that it names is written.
        check: raises if a folder that exists may not be replaced; asked before and after the writing.

    Raises:
        OutputError: if that fails; nothing new is left then.
    """
    folder = as_path(folder)
    try:
        target = folder.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        recover(target)
        check(target)
        leftovers.sweep(target)
        with leftovers.temporary_folder(target) as temporary:
            yield temporary
            temporary.chmod(0o755)
            check(target)  # nothing that came meanwhile is lost
            _put(temporary, target)
    except OSError as error:
        raise OutputError(f"{folder}: could not write: {reason(error)}") from error
    leftovers.sweep(target)


def recover(folder: str | Path) -> None:
    """Give an older folder its name again, if a process was killed between its two renames (see `whole_folder`)."""
    folder = as_path(folder)
    if os.path.lexists(folder):
        return
    for aside in leftovers.find(folder, leftovers.REPLACED):
        try:
            aside.rename(folder)
        except OSError:  # another process was faster, or may not write here
            continue
        return


def check_writable(folder: str | Path) -> None:
    """Refuse a folder that cannot be written, before the work whose result belongs there.

    Args:
        folder: it need not exist; then the nearest parent that does is asked.

    Raises:
        OutputError: if it is no folder, or cannot be written.
    """
    place = as_path(folder).absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise OutputError(f"{folder}: expected a folder, found something else at {place}")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise OutputError(f"{folder}: could not write into {place}: {reason(error)}") from error


def check_free(folder: str | Path) -> None:
    """Refuse a folder that cannot be written or holds something, before the work whose result belongs there.

    Raises:
        OutputError: as `check_writable` and `check_nothing_there`.
    """
    folder = as_path(folder)
    recover(folder)
    check_nothing_there(folder)
    check_writable(folder.absolute().parent)


def check_nothing_there(folder: Path) -> None:
    """Refuse to replace anything: for `whole_folder`.

    Raises:
        OutputError: unless the folder has a free name or is empty.
    """
    if not folder.exists():
        return
    expected = f"{folder}: expected a free name or an empty folder"
    if not folder.is_dir():
        raise OutputError(f"{expected}, found a file; give another name, or move it away")
    try:
        names = sorted({path.name for path in folder.iterdir()} - HARMLESS)
    except OSError as error:
        raise OutputError(f"{folder}: could not read it: {reason(error)}") from error
    if names:
        raise OutputError(f"{expected}, found {names[0]!r} in it; give another name, or move it away")


def reserve(folder: Path, num_bytes: int) -> None:
    """Check that a folder has room for so many bytes, for writers that cannot be stopped cleanly.

    Raises:
        OSError: if it has not.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, max(num_bytes, 1))
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                    raise


def reason(error: OSError) -> str:
    """The cause of an error of the system, in its own words."""
    return error.strerror or str(error) or type(error).__name__


def _is_linked(temporary: Path, path: Path) -> bool:
    """Whether `path` exists now: it has become `temporary`, or it did exist."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return True
    except (OSError, AttributeError):  # a file system without links
        return path.exists()
    return True


def _put(new: Path, folder: Path) -> None:
    """Give a whole folder its name. An older one then has the temporary name, and is removed with it."""
    for attempt in range(_ATTEMPTS):
        if not folder.exists():
            try:
                new.rename(folder)
                return
            except OSError:
                if attempt == _ATTEMPTS - 1 or not folder.exists():
                    raise
        if _exchange(new, folder):
            return
        aside = new.with_suffix(leftovers.REPLACED)
        try:
            folder.rename(aside)
            new.rename(folder)
        except OSError:
            if aside.exists() and not folder.exists():
                aside.rename(folder)
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        leftovers.remove_folder(aside)
        return
    raise OutputError(f"{folder}: could not write: other processes replace it all the time")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; False where the system cannot.

    Raises:
        OSError: if it can, but fails.
    """
    rename = _renameat2()
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
        return False
    raise OSError(number, os.strerror(number), str(other))


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return function
