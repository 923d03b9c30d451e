"""Content and display name of a foreign file."""

from pathlib import Path

from weights_conversion.errors import ConversionError

LARGEST_RATIO = 4
"""Largest ratio of declared to actual size. Weights hardly compress, so a larger ratio means a hostile file."""


def read_source(source: str | Path | bytes) -> tuple[bytes, str]:
    """Read a file.

    Args:
        source: path of the file, or its content.

    Returns:
        The content, and the name of the file in errors.

    Raises:
        ConversionError: if the file cannot be read.
    """
    if isinstance(source, bytes):
        return source, "bytes"
    try:
        return Path(source).read_bytes(), str(source)
    except (OSError, ValueError) as error:  # a path with a zero in it is a ValueError
        raise ConversionError(f"{source}: could not read it: {error}") from error
