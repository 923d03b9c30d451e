"""The errors of this package. Each message names the file, what was expected and what came."""


class ConversionError(ValueError):
    """A source file is damaged, foreign, or holds other weights than the table of its format says."""


class ExportError(ValueError):
    """The folder of an export cannot be written."""
