"""Foreign weights in, a plain config and a nested dict of NumPy arrays out.

The package needs only NumPy and safetensors, not JAX and not jaxedit. `detect` picks the reader of a file, `formats`
reads files, `models` holds the table of each model.
"""

from typing import TYPE_CHECKING, Any

from weights_conversion.errors import ConversionError, ExportError

if TYPE_CHECKING:
    from weights_conversion.detect import convert_file, describe_format

__all__ = ["ConversionError", "ExportError", "convert_file", "describe_format"]


def __getattr__(name: str) -> Any:
    """Import the readers on first use, so that `import weights_conversion` stays quick."""
    if name in ("convert_file", "describe_format"):
        from weights_conversion import detect

        return getattr(detect, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
