"""The errors that a user's input can cause. Each message names what was wrong, what was expected and what came."""


class JaxeditError(ValueError):
    """Base of every error that this library raises on purpose."""


class InputError(JaxeditError):
    """An argument does not fit: a wrong shape, NaN, an unknown name, an impossible number."""


class CheckpointError(JaxeditError):
    """A checkpoint folder is missing, damaged, foreign, or of a newer format."""


class DownloadError(JaxeditError):
    """A source could not be fetched, or is not the file that was pinned."""


class OutputError(JaxeditError):
    """A file or folder could not be written."""
