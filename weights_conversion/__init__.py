"""Foreign weights in, a plain config and a nested dict of NumPy arrays out.

The package needs NumPy and safetensors alone: neither JAX nor jaxedit. `formats` holds how files are read, `models` the
table of each model, `detect` picks the reader of a file.
"""

from typing import TYPE_CHECKING, Any

from weights_conversion.errors import ConversionError, ExportError

if TYPE_CHECKING:
    from weights_conversion.detect import convert_file, describe_format

__all__ = ["ConversionError", "ExportError", "convert_file", "describe_format"]


def __getattr__(name: str) -> Any:
    """The readers, imported when first asked for: an import of the package alone stays quick."""
    if name in ("convert_file", "describe_format"):
        from weights_conversion import detect

        return getattr(detect, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
