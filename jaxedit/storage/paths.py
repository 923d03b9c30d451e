"""Paths as users write them."""

import os
from pathlib import Path

from jaxedit.errors import InputError


def as_path(path: str | Path) -> Path:
    """A path that a user gave: `~` and `~user` at its start become the home folder, as in a shell.

    As in a shell, a name such as `~x` stays as it is where no user x exists.

    Raises:
        InputError: if the path is empty, holds a NUL character, or is no path.

    Examples:
        >>> from pathlib import Path
        >>> as_path("~/axes") == Path.home() / "axes"
        True
        >>> str(as_path("axes/~b"))
        'axes/~b'
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"path: expected a path, got {type(path).__name__}")
    text = os.fspath(path)
    if not text or "\0" in text:
        raise InputError(f"path: expected the name of a file or folder, got {text!r}")
    return Path(os.path.expanduser(text))  # noqa: PTH111 (that of pathlib raises where no such user exists)
