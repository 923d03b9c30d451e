"""Detection of the format of a file of weights from its content, and the reader of each format."""

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from weights_conversion.errors import ConversionError
from weights_conversion.formats.torch_file import is_torch_file
from weights_conversion.models.mobile_stylegan import convert_wheel
from weights_conversion.models.stylegan2.flaxmodels import convert_flaxmodels
from weights_conversion.models.stylegan2.official import convert_official
from weights_conversion.models.stylegan2.rosinality import convert_rosinality
from weights_conversion.models.stylegan2.tensorflow import convert_tensorflow
from weights_conversion.safetensors_folder import CONFIG_FILE, MODEL_FILE, read_folder


class Format(NamedTuple):
    """A format and its reader."""

    description: str
    reader: Callable[[Path], tuple[dict[str, Any], dict[str, Any]]]


FORMATS = {
    "official": Format("pickle of StyleGAN2 for PyTorch", convert_official),
    "tensorflow": Format("pickle of StyleGAN2 for TensorFlow", convert_tensorflow),
    "rosinality": Format("checkpoint of stylegan2-pytorch", convert_rosinality),
    "flaxmodels": Format("HDF5 file of flaxmodels", convert_flaxmodels),
    "safetensors": Format("safetensors export of jaxedit", read_folder),
    "wheel": Format("wheel of random-face", convert_wheel),
}

_HDF5 = b"\x89HDF\r\n\x1a\n"
_TENSORFLOW_NETWORK = b"dnnlib.tflib.network"
_START = 4096
"""Number of bytes read for detection. A pickle names the class of its first network before any of its arrays."""


def convert_file(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the generator in a foreign file, or in a folder of `jaxedit export`.

    Args:
        path: the file or folder. Its name does not matter.

    Returns:
        The config, and the nested dict of float32 arrays.

    Raises:
        ConversionError: if the format is unknown, or the reader of the format refuses the file.
    """
    return _detect(Path(path)).reader(Path(path))


def describe_format(path: str | Path) -> str:
    """Name the format of a file or folder, in words for a user.

    Raises:
        ConversionError: if the format is unknown, or the file cannot be read.
    """
    return _detect(Path(path)).description


def _detect(path: Path) -> Format:
    try:
        folder = path.is_dir()
        start, members, size = (b"", [], 0) if folder else _look(path)
    except FileNotFoundError:
        raise ConversionError(f"{path}: expected a file of weights, found nothing") from None
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ConversionError(f"{path}: could not read it: {error}") from error
    if folder:
        return _detect_folder(path)
    if size == 0:
        raise ConversionError(f"{path}: expected a file of weights, found an empty file")
    found = _name_format(start, members, size)
    if found is None:
        understood = ", ".join(known.description for known in FORMATS.values())
        raise ConversionError(f"{path}: expected one of: {understood}; found none of them")
    return FORMATS[found]


def _look(path: Path) -> tuple[bytes, list[str], int]:
    """The first bytes of a file, the names in it if it is a zip archive, and its size."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would wait, a device would never end
        raise OSError("expected a file or a folder")
    with path.open("rb") as file:
        start = file.read(_START)
        members = []
        if start.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(file) as archive:
                members = archive.namelist()
        return start, members, status.st_size


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


def _name_format(start: bytes, members: list[str], size: int) -> str | None:
    if members:
        if any(member.startswith("random_face/data/") for member in members):
            return "wheel"
        return "rosinality" if any(member.endswith("data.pkl") for member in members) else None
    if start.startswith(_HDF5):
        return "flaxmodels"
    if start.startswith(b"\x80"):
        if is_torch_file(start):
            return "rosinality"
        return "tensorflow" if _TENSORFLOW_NETWORK in start else "official"
    header = int.from_bytes(start[:8], "little")
    return "safetensors" if start[8:9] == b"{" and header <= size - 8 else None
