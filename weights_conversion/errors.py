"""The errors of this package. Each message names the file, what was expected and what came."""


class ConversionError(ValueError):
    """A source file is damaged, has another format, or holds other arrays than its table says."""


class ExportError(ValueError):
    """The folder of an export cannot be written."""
