"""The error of this package."""


class ConversionError(ValueError):
    """A source file is damaged, foreign, or holds other weights than the table of its format says."""
