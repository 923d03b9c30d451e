"""Files that appear under their name only when they are whole."""

import os
import tempfile
from pathlib import Path

from jaxedit.errors import OutputError


def write_atomically(path: str | Path, content: bytes) -> Path:
    """Write a file under a temporary name beside it, then rename.

    Raises:
        OutputError: if that fails; nothing new is left then.
    """
    path, temporary = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        raise OutputError(f"{path}: could not write: {error}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return path
