"""Generators as a folder of two open files.

`config.json` holds the format, its version and the config. `model.safetensors` holds the arrays in float32; each dot in
a name stands for a level of the nested dict. Its metadata holds hashes of the arrays and of the config, which are
checked when the folder is read; exports of earlier versions have none.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import save_file

from weights_conversion.errors import ConversionError, ExportError
from weights_conversion.formats.foreign_file import check_regular
from weights_conversion.formats.safetensors_file import (
    describe_hashes,
    hash_of_config,
    read_hashes,
    read_safetensors,
)
from weights_conversion.models.families import check_generator
from weights_conversion.table import flatten, nest

FORMAT = "jaxedit-stylegan"
FORMAT_VERSION = 1
"""Increases whenever older code could not read what newer code writes."""

CONFIG_FILE = "config.json"
MODEL_FILE = "model.safetensors"

_HARMLESS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what systems put into folders by themselves
_LARGEST_CONFIG = 1_000_000


def write_folder(folder: str | Path, config: dict[str, Any], params: Mapping[str, Any]) -> Path:
    """Write a generator, replacing an older export under the same name.

    The folder gets a temporary name while it is written, and its own name when it is complete.

    Args:
        folder: the folder to write. Parent folders are created.
        config: config of a known family.
        params: nested dict of its arrays.

    Returns:
        The folder.

    Raises:
        ConversionError: if config and arrays are not those of a known family.
        ExportError: if the folder cannot be written, or something else has its name; nothing new is left then.
    """
    folder = Path(folder).absolute()
    check_generator(config, params, name=str(folder))
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        check_target(folder)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        write_files(temporary, config, params)
        temporary.chmod(0o755)
        if folder.exists():
            # A folder cannot be renamed onto another: the old one steps aside first.
            folder.rename(temporary / "replaced")
            temporary.rename(folder)
            shutil.rmtree(folder / "replaced")
        else:
            temporary.rename(folder)
    except (OSError, SafetensorError) as error:
        raise ExportError(f"{folder}: could not write the export: {error}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def write_files(folder: Path, config: dict[str, Any], params: Mapping[str, Any]) -> None:
    """Write the two files of a generator into a folder that exists.

    Raises:
        ConversionError: if config and arrays are not those of a known family.
        ExportError: if the files cannot be written.
    """
    arrays = flatten(check_generator(config, params, name=str(folder)))
    described = {"format": FORMAT, "format_version": FORMAT_VERSION, "config": config}
    try:
        (folder / CONFIG_FILE).write_text(json.dumps(described, indent=2) + "\n")
        save_file(arrays, folder / MODEL_FILE, metadata=describe_hashes(arrays, config))
        (folder / MODEL_FILE).chmod(0o644)  # the library's own are for one user alone
    except (OSError, SafetensorError) as error:
        raise ExportError(f"{folder}: could not write the export: {error}") from error


def read_folder(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a generator that `write_folder` wrote.

    Args:
        path: the folder, or its `.safetensors` file, which needs its `config.json` beside it.

    Returns:
        The config and the nested dict of float32 arrays.

    Raises:
        ConversionError: if a file is missing, damaged, newer, or holds other arrays than the config says.
    """
    path = Path(path)
    folder, model = (path, path / MODEL_FILE) if path.is_dir() else (path.parent, path)
    config = _read_config(folder / CONFIG_FILE)
    params = check_generator(config, _read_arrays(model), name=str(model))
    hashes = read_hashes(model)
    if hashes is not None and hashes["config"] != hash_of_config(config):
        raise ConversionError(
            f"{folder / CONFIG_FILE}: damaged: not the config that was written (its hash differs); make the export "
            "again"
        )
    return config, params


def check_target(folder: str | Path) -> None:
    """Refuse a folder that `write_folder` would not replace, before the work whose result belongs there.

    Raises:
        ExportError: if something else has the name: neither an empty folder, nor an older export without other files.
    """
    folder = Path(folder)
    if not folder.exists():
        return
    expected = f"{folder}: expected a free name or an older export"
    try:
        names = sorted({path.name for path in folder.iterdir()} - _HARMLESS) if folder.is_dir() else None
    except OSError as error:
        raise ExportError(f"{folder}: could not read it: {error}") from error
    if names is None or (names and not is_export(folder)):
        raise ExportError(f"{expected}, found something else; not replaced")
    foreign = [name for name in names if name not in (CONFIG_FILE, MODEL_FILE)]
    if foreign:
        raise ExportError(f"{expected}, found {foreign[0]!r} in it besides; not replaced")


def is_export(folder: Path) -> bool:
    """Whether a folder has the config of an export, of any version."""
    try:
        _read_config(folder / CONFIG_FILE)
    except ConversionError as error:
        return isinstance(error, _NewerError)
    return True


class _NewerError(ConversionError):
    """The export is of a newer version."""


def _read_config(path: Path) -> dict[str, Any]:
    try:
        if not path.exists():
            raise FileNotFoundError
        if check_regular(path).st_size > _LARGEST_CONFIG:
            raise ConversionError(f"{path}: expected the config of an export, found a file of another size")
        described = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConversionError(f"{path}: expected the config of an export, found nothing") from None
    except OSError as error:
        raise ConversionError(f"{path}: could not read it: {error}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConversionError):
            raise
        raise ConversionError(f"{path}: expected the config of an export, it is damaged: {error}") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise ConversionError(f"{path}: expected a config of the format {FORMAT}, found another")
    version, config = described.get("format_version"), described.get("config")
    if type(version) is not int or not isinstance(config, dict):
        raise ConversionError(f"{path}: damaged: format_version or config is missing")
    if version > FORMAT_VERSION:
        raise _NewerError(
            f"{path}: written in format version {version}, read up to {FORMAT_VERSION}: update jaxedit"
        )
    return config


def _read_arrays(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise ConversionError(f"{path}: expected the arrays of an export, found nothing")
    return nest(read_safetensors(path, types=("F32",)), name=str(path))
