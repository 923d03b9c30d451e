"""Folders for what visitors bring: for this user alone, and gone with the server, also where it was killed."""

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

_PREFIX = "jaxedit-studio"
_NAME = re.compile(rf"{_PREFIX}-(\d+)-\w+")


def private_folder() -> Path:
    """A new empty folder that no other user can enter."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}-{os.getpid()}-"))


def sweep_private_folders() -> None:
    """Remove the folders of servers of this user that are no longer there."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}-*"):
        found = _NAME.fullmatch(path.name)
        if found is None or path.is_symlink() or not _is_ours(path) or _is_running(int(found[1])):
            continue
        shutil.rmtree(path, ignore_errors=True)


def _is_ours(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()
    return False


def _is_running(pid: int) -> bool:
    if os.name != "posix":  # elsewhere the call would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True
