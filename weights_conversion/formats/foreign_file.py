"""The bytes of a foreign file, and what to call it in an error."""

from pathlib import Path

from weights_conversion.errors import ConversionError

LARGEST_RATIO = 4
"""Weights are noise to a compressor: a file that declares more than this many times its size is not of weights."""


def read_source(source: str | Path | bytes) -> tuple[bytes, str]:
    """The content of a file, given by its path or as it is.

    Returns:
        The bytes and the name.

    Raises:
        ConversionError: if the file cannot be read.
    """
    if isinstance(source, bytes):
        return source, "bytes"
    try:
        return Path(source).read_bytes(), str(source)
    except (OSError, ValueError) as error:  # a path with a zero in it is a ValueError
        raise ConversionError(f"{source}: could not read it: {error}") from error
