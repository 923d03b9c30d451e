"""Checkpoint folders: every model of this library is saved to one and loaded from one.

A folder holds `metadata.json` (what is needed to rebuild the model: its kind, its config, the versions that wrote
it, and hashes of all) and the weights: `arrays/`, an Orbax checkpoint, or `arrays.npz`. Orbax is the format for users,
who may read it with other tools. The cache holds `.npz`, which loads without Orbax and ten times as fast. A folder is
written under a temporary name and takes its own when whole, so that a folder which exists under its own name is
complete. An older folder is replaced only by one of the same kind, and only if nobody has put a file into it.
"""

import functools
import importlib.metadata
import json
from pathlib import Path
from typing import Any, Literal

from jaxedit._version import __version__
from jaxedit.errors import CheckpointError, InputError, JaxeditError, OutputError
from jaxedit.storage.array_trees import read_array_tree, write_array_tree
from jaxedit.storage.atomic import HARMLESS, check_writable, recover, whole_folder
from jaxedit.storage.hashes import describe_files, first_difference, hash_of_json, hashes_of_arrays
from jaxedit.storage.leftovers import is_temporary
from jaxedit.storage.orbax_arrays import read_orbax, write_orbax
from jaxedit.storage.paths import as_path
from jaxedit.storage.regular_files import read_json

FORMAT_VERSION = 2
"""Raised whenever older code could not read what newer code writes, or metadata gets a new name."""

_FORMAT_VERSION_ORBAX = 1
_METADATA = "metadata.json"
_ARRAYS = "arrays"
_ARRAYS_FILE = "arrays.npz"
_FORMAT = "jaxedit-checkpoint"
_NAMES = {"format", "format_version", "kind", "config", "versions", "hashes", "files"}
"""All names in metadata. Folders of earlier versions have no hashes and no files."""

_ORBAX_NAMES = ("_", "manifest.ocdbt", "d", "ocdbt.process_", "array_metadatas", "commit_success.txt")
"""How the names begin that Orbax gives, for folders that do not list their files."""

_RENAMED_KINDS = {"gaussianiser": "quantile_transform", "referees": "independent-networks"}
"""Kinds of earlier versions → their names of today."""


def check_checkpoint_target(folder: str | Path, *, kind: str) -> None:
    """Refuse a folder that `save_checkpoint` would not write, before the work whose result belongs there.

    Args:
        folder: a free name, an empty folder, or an older checkpoint of the same kind without foreign files.
        kind: of the checkpoint that will be written.

    Raises:
        OutputError: if it is something else, or cannot be written.
    """
    recover(folder)
    _check_replaceable(as_path(folder), kind=kind)
    check_writable(as_path(folder).absolute().parent)


def save_checkpoint(
    folder: str | Path,
    *,
    kind: str,
    config: dict[str, Any],
    arrays: dict[str, Any],
    file_format: Literal["orbax", "npz"] = "orbax",
    replace_any: bool = False,
) -> Path:
    """Write a checkpoint folder, replacing an older one of the same kind under the same name.

    Args:
        folder: where to. Parent folders are made.
        kind: what the folder holds ("generator", "pca", "axes", …); `load_checkpoint` checks it.
        config: JSON-serializable description from which the model is rebuilt.
        arrays: nested dict of arrays with string keys.
        file_format: of the arrays.
        replace_any: whether to replace whatever has the name, also a damaged checkpoint: for the cache.

    Raises:
        OutputError: if the folder cannot be written, or its name belongs to something else, which stays then.
    """
    folder = as_path(folder).absolute()
    config = json.loads(json.dumps(config))
    metadata: dict[str, Any] = {
        "format": _FORMAT,
        "format_version": FORMAT_VERSION if file_format == "npz" else _FORMAT_VERSION_ORBAX,
        "kind": kind,
        "config": config,
        "versions": {"jaxedit": __version__}
        | {n: importlib.metadata.version(n) for n in ("jax", "flax", "orbax-checkpoint")},
        "hashes": {"config": hash_of_json([kind, config]), "arrays": hashes_of_arrays(arrays)},
    }
    check = _check_nothing if replace_any else functools.partial(_check_replaceable, kind=kind)
    with whole_folder(folder, check=check) as temporary:
        if file_format == "npz":
            write_array_tree(temporary / _ARRAYS_FILE, {}, arrays, kind=kind)
        else:
            try:
                write_orbax(temporary / _ARRAYS, arrays)
            except JaxeditError as error:
                raise OutputError(f"{folder}: could not write the checkpoint: {error}") from error
            metadata["files"] = describe_files(temporary / _ARRAYS)
        (temporary / _METADATA).write_text(json.dumps(metadata, indent=2) + "\n")
    return folder


def read_metadata(folder: str | Path) -> dict[str, Any]:
    """The metadata of a checkpoint folder: `kind`, `config`, `versions`, `format_version`.

    Raises:
        CheckpointError: if there is no such folder, it is no jaxedit checkpoint or a damaged one, or a newer version
            wrote it.
    """
    folder = as_path(folder)
    path = folder / _METADATA
    recover(folder)
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: expected a checkpoint folder, found {'a file' if folder.exists() else 'nothing'}"
        )
    if not path.exists():
        raise CheckpointError(f"{folder}: not a jaxedit checkpoint: it has no {_METADATA}")
    try:
        metadata = read_json(path, expected="the metadata of a jaxedit checkpoint")
    except InputError as error:
        raise CheckpointError(str(error)) from error
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: not the metadata of a jaxedit checkpoint")
    version, versions = metadata.get("format_version"), metadata.get("versions")
    is_whole = isinstance(versions, dict) and isinstance(metadata.get("kind"), str) and "config" in metadata
    if type(version) is not int or not is_whole:
        raise CheckpointError(f"{path}: damaged: format_version, kind, config or versions is missing")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{folder}: written in format {version} by jaxedit {metadata['versions'].get('jaxedit')}; "
            f"this jaxedit {__version__} reads formats up to {FORMAT_VERSION}: update jaxedit"
        )
    if unknown := metadata.keys() - _NAMES:
        raise CheckpointError(f"{path}: damaged: unknown name {sorted(unknown)[0]!r}")
    hashes = metadata.get("hashes")
    if hashes is not None:
        expected = hashes.get("config") if isinstance(hashes, dict) else None
        if not isinstance(expected, str) or not isinstance(hashes.get("arrays"), dict):
            raise CheckpointError(f"{path}: damaged: its hashes are incomplete")
        if hash_of_json([metadata["kind"], metadata["config"]]) != expected:
            raise CheckpointError(
                f"{path}: damaged: kind or config is not what was written (its hash differs); make the folder again"
            )
    return metadata


def load_checkpoint(folder: str | Path, *, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a checkpoint folder, and check all of it against its hashes.

    Args:
        folder: the folder.
        kind: what it must hold.

    Returns:
        The config, and the nested dict of NumPy arrays.

    Raises:
        CheckpointError: if the folder is missing, damaged, foreign, newer, or of another kind.
        JaxeditError: if it could not be read for another reason, such as a device that JAX cannot use.
    """
    folder = as_path(folder).absolute()
    metadata = read_metadata(folder)
    found = _RENAMED_KINDS.get(metadata["kind"], metadata["kind"])
    if found != kind:
        raise CheckpointError(f"{folder}: expected a checkpoint of kind '{kind}', found '{metadata['kind']}'")
    config = metadata["config"]
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder}: damaged: its config is not a table of names")
    if (folder / _ARRAYS_FILE).is_file():
        try:
            # A ZIP archive has checksums of its own.
            return config, read_array_tree(folder / _ARRAYS_FILE, kind=kind)[1]
        except InputError as error:
            raise CheckpointError(f"{folder}: damaged: {error}") from error
    arrays = read_orbax(folder / _ARRAYS, _files(metadata))
    if "hashes" in metadata:
        damage = first_difference(metadata["hashes"]["arrays"], arrays)
        if damage is not None:
            raise CheckpointError(
                f"{folder / _ARRAYS}: damaged: {damage} (its hash differs); make the folder again"
            )
    return config, arrays


def _files(metadata: dict[str, Any]) -> dict[str, Any] | None:
    """The files of `arrays/`, if the metadata lists them."""
    files = metadata.get("files")
    if not isinstance(files, dict):
        return None
    is_valid = all(isinstance(entry, list) and entry for entry in files.values())
    return files if is_valid else None


def _check_nothing(folder: Path) -> None:
    """Everything may be replaced."""


def _check_replaceable(folder: Path, *, kind: str) -> None:
    """Refuse to replace anything but an empty folder and a checkpoint of the same kind without foreign files.

    Raises:
        OutputError: if it is something else.
    """
    expected = f"{folder}: expected a free name or an older checkpoint of kind '{kind}'"
    not_replaced = "not replaced: give another name, or move it away"
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{expected}, found a file; {not_replaced}")
    try:
        names = [path.name for path in folder.iterdir() if not _is_negligible(path)]
        if not names:
            return
        if _METADATA not in names:
            raise OutputError(f"{expected}, found something else; {not_replaced}")
        metadata = read_metadata(folder)
        foreign = [name for name in names if name not in (_METADATA, _ARRAYS, _ARRAYS_FILE)]
        if not foreign and _ARRAYS in names:
            foreign = _foreign_to_orbax(folder / _ARRAYS, _files(metadata))
    except OSError as error:
        raise OutputError(f"{folder}: could not read it: {error}") from error
    except CheckpointError as error:
        raise OutputError(f"{expected}, found something else ({error}); {not_replaced}") from error
    found = _RENAMED_KINDS.get(metadata["kind"], metadata["kind"])
    if found != kind:
        raise OutputError(f"{expected}, found one of kind '{metadata['kind']}'; {not_replaced}")
    if foreign:
        raise OutputError(f"{expected}, found {sorted(foreign)[0]!r} in it besides; {not_replaced}")


def _foreign_to_orbax(folder: Path, files: dict[str, Any] | None) -> list[str]:
    """Files in a folder of Orbax's that Orbax did not write."""
    found = [path for path in folder.rglob("*") if path.is_file() and not _is_negligible(path)]
    names = [path.relative_to(folder).as_posix() for path in found]
    if files is not None:
        return [f"{_ARRAYS}/{name}" for name in names if name not in files]
    return [f"{_ARRAYS}/{name}" for name in names if not name.startswith(_ORBAX_NAMES)]


def _is_negligible(path: Path) -> bool:
    return path.name in HARMLESS or is_temporary(path.name)
