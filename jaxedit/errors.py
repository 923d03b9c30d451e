"""The errors that a user's input can cause. Each message names what was wrong, what was expected and what came."""

from collections.abc import Iterator
from contextlib import contextmanager


class JaxeditError(ValueError):
    """Base of every error that this library raises on purpose."""


class InputError(JaxeditError):
    """An argument does not fit: a wrong shape, NaN, an unknown name, an impossible number."""


class CheckpointError(JaxeditError):
    """A checkpoint folder or a file of weights is missing, damaged, foreign, or of a newer format."""


class DownloadError(JaxeditError):
    """A source could not be fetched, or is not the file that was pinned."""


class OutputError(JaxeditError):
    """A file or folder could not be written."""


class LeftOutWarning(UserWarning):
    """A part of the work is left out because the data do not suffice; the message says which, and why."""


@contextmanager
def conversion_errors() -> Iterator[None]:
    """Within it, errors of `weights_conversion` become errors of this library, with the same message.

    Raises:
        CheckpointError: in place of a `ConversionError`.
        OutputError: in place of an `ExportError`.
    """
    from weights_conversion.errors import ConversionError, ExportError

    try:
        yield
    except ConversionError as error:
        raise CheckpointError(str(error)) from error
    except ExportError as error:
        raise OutputError(str(error)) from error
