"""Detection of the format of a file of weights from its content, and the reader of each format."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from weights_conversion.errors import ConversionError
from weights_conversion.formats.foreign_file import check_regular, name_other_file
from weights_conversion.formats.torch_file import is_torch_file
from weights_conversion.models.conversion import Conversion, Options
from weights_conversion.models.mobile_stylegan import convert_wheel
from weights_conversion.models.official_pickle import convert_official_pickle
from weights_conversion.models.plain_safetensors import convert_plain_safetensors
from weights_conversion.models.stylegan2.flaxmodels import convert_flaxmodels
from weights_conversion.models.stylegan2.tensorflow import convert_tensorflow
from weights_conversion.models.torch_checkpoint import convert_torch_checkpoint
from weights_conversion.safetensors_folder import CONFIG_FILE, MODEL_FILE, is_export, read_folder


class Format(NamedTuple):
    """A format and its reader."""

    description: str
    reader: Callable[[Path, Options], Conversion]


def _without_options(
    description: str, reader: Callable[[Path], tuple[dict[str, Any], dict[str, Any]]]
) -> Format:
    return Format(description, lambda path, _: Conversion(description, *reader(path)))


FORMATS = {
    "official": _without_options("pickle of StyleGAN2 or StyleGAN3 for PyTorch", convert_official_pickle),
    "tensorflow": _without_options("pickle of StyleGAN2 for TensorFlow", convert_tensorflow),
    "torch": Format(
        "file of torch.save (stylegan2-pytorch and its relatives, StyleGAN2 and StyleGAN3 for PyTorch, MobileStyleGAN)",
        convert_torch_checkpoint,
    ),
    "flaxmodels": _without_options("HDF5 file of flaxmodels", convert_flaxmodels),
    "safetensors": _without_options("safetensors export of jaxedit", read_folder),
    "plain-safetensors": Format("state dict in safetensors", convert_plain_safetensors),
    "wheel": _without_options("wheel of random-face", convert_wheel),
}

_HDF5 = b"\x89HDF\r\n\x1a\n"
_TENSORFLOW_NETWORK = b"dnnlib.tflib.network"
_START = 4096
"""Number of bytes read for detection. A pickle names the class of its first network before any of its arrays."""


def read_generator(path: str | Path, options: Options | None = None) -> Conversion:
    """Read the generator in a foreign file, or in a folder of `jaxedit export`.

    Args:
        path: the file or folder. Its name does not matter.
        options: what plain state dicts do not hold.

    Returns:
        Format, config, arrays, and notes on what the file does not hold.

    Raises:
        ConversionError: if the format is unknown, or the reader of the format refuses the file.
    """
    return _detect(Path(path)).reader(Path(path), options or Options())


def convert_file(path: str | Path, options: Options | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Config and nested dict of float32 arrays of `read_generator`.

    Raises:
        ConversionError: as `read_generator`.
    """
    conversion = read_generator(path, options)
    return conversion.config, conversion.params


def describe_format(path: str | Path) -> str:
    """Name the format of a file or folder, in words for a user.

    Raises:
        ConversionError: if the format is unknown, or the file cannot be read.
    """
    return _detect(Path(path)).description


def _detect(path: Path) -> Format:
    try:
        if path.is_dir():
            return _detect_folder(path)
        if not path.exists() and path.parent.is_dir():
            raise ConversionError(f"{path}: expected a file of weights, found nothing")
    except ConversionError:
        raise
    except (OSError, ValueError) as error:  # a name that is too long, or has a zero in it
        raise ConversionError(f"{path}: could not read it: {error}") from error
    size = check_regular(path).st_size
    try:
        with path.open("rb") as file:
            start = file.read(_START)
    except OSError as error:
        raise ConversionError(f"{path}: could not read it: {error}") from error
    if size == 0:
        raise ConversionError(f"{path}: expected a file of weights, found an empty file")
    found = _name_format(path, start, _members(path, start), size)
    if found is None:
        understood = ", ".join(known.description for known in FORMATS.values())
        other = name_other_file(start)
        if other is not None:
            raise ConversionError(f"{path}: expected a file of weights, found {other}")
        raise ConversionError(f"{path}: expected one of: {understood}; found none of them")
    return FORMATS[found]


def _members(path: Path, start: bytes) -> list[str]:
    """The names in a zip archive; none if the file is something else."""
    if not start.startswith(b"PK\x03\x04"):
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ConversionError(
            f"{path}: could not read it: it begins like a file of PyTorch or another zip archive, but its list of "
            f"contents, which stands at the end, is missing or damaged ({error}): download or copy it again"
        ) from error


def _detect_folder(path: Path) -> Format:
    if (path / CONFIG_FILE).is_file() or (path / MODEL_FILE).is_file():
        return FORMATS["safetensors"]
    if (path / "metadata.json").is_file():
        raise ConversionError(
            f"{path}: expected foreign weights, found a checkpoint of jaxedit, which needs no conversion"
        )
    raise ConversionError(
        f"{path}: expected a file of weights or an export with {CONFIG_FILE} and {MODEL_FILE}, found another folder"
    )


def _name_format(path: Path, start: bytes, members: list[str], size: int) -> str | None:
    if members:
        if any(member.startswith("random_face/data/") for member in members):
            return "wheel"
        if any(member.endswith("data.pkl") for member in members):
            return "torch"
        raise ConversionError(
            f"{path}: expected a file of weights, found a zip archive without any: unpack it first"
        )
    if start.startswith(_HDF5):
        return "flaxmodels"
    if start.startswith(b"\x80"):
        if is_torch_file(start):
            return "torch"
        return "tensorflow" if _TENSORFLOW_NETWORK in start else "official"
    header = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{" or header > size - 8:
        return None
    return "safetensors" if is_export(path.parent) else "plain-safetensors"
