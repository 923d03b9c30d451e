"""Checkpoint folders: every model of this library is saved to one and loaded from one.

A folder holds `metadata.json` (what is needed to rebuild the model: its kind, its config, the versions that wrote
it) and the weights: `arrays/`, an Orbax checkpoint, or `arrays.npz`. Orbax is the format for users, who may read it
with other tools. The cache holds `.npz`, which loads without Orbax and ten times as fast. A folder is written under a
temporary name and renamed when whole, so that a folder which exists under its own name is complete.
"""

import importlib.metadata
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np

from jaxedit._version import __version__
from jaxedit.errors import CheckpointError, InputError, JaxeditError, OutputError
from jaxedit.storage.array_trees import read_array_tree, write_array_tree

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

# Orbax is imported where its folders are read or written: the import takes as long as an edit.

FORMAT_VERSION = 2
"""Raised whenever older code could not read what newer code writes."""

_FORMAT_VERSION_ORBAX = 1
_METADATA = "metadata.json"
_ARRAYS = "arrays"
_ARRAYS_FILE = "arrays.npz"
_FORMAT = "jaxedit-checkpoint"
_RENAMED_KINDS = {"gaussianiser": "quantile_transform", "referees": "independent-networks"}
"""Kinds of earlier versions → their names of today."""


@contextmanager
def _quiet_orbax() -> Iterator[None]:
    """Orbax logs each of its steps, and each error once for every thread it passes; ours is raised once instead."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _alone() -> dict[str, Any]:
    """Orbax's options by which a process reads and writes by itself.

    Otherwise Orbax waits for all processes of a run, at each step of what only one of them may be doing.
    """
    import orbax.checkpoint as ocp

    if jax.process_count() == 1:
        return {}
    own = jax.process_index()
    options = ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process_{own}"
    )
    return {"multiprocessing_options": options}


def _writer() -> "ocp.StandardCheckpointer":
    import orbax.checkpoint as ocp

    # Of one process alone Orbax makes folders only while it is waited for.
    at_once = ocp.options.AsyncOptions(create_directories_asynchronously=False)
    return ocp.StandardCheckpointer(async_options=at_once, **_alone())


def save_checkpoint(
    folder: str | Path,
    *,
    kind: str,
    config: dict[str, Any],
    arrays: dict[str, Any],
    file_format: Literal["orbax", "npz"] = "orbax",
) -> Path:
    """Write a checkpoint folder, replacing an older one under the same name.

    Args:
        folder: where to. Parent folders are made.
        kind: what the folder holds ("generator", "pca", "axes", …); `load_checkpoint` checks it.
        config: JSON-serializable description from which the model is rebuilt.
        arrays: nested dict of arrays with string keys.
        file_format: of the arrays.

    Raises:
        OutputError: if the folder cannot be written; nothing is left under its name then.
    """
    folder = Path(folder).absolute()
    metadata = {
        "format": _FORMAT,
        "format_version": FORMAT_VERSION if file_format == "npz" else _FORMAT_VERSION_ORBAX,
        "kind": kind,
        "config": config,
        "versions": {"jaxedit": __version__}
        | {n: importlib.metadata.version(n) for n in ("jax", "flax", "orbax-checkpoint")},
    }
    text = json.dumps(metadata, indent=2) + "\n"
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists() and not (folder / _METADATA).is_file():
            raise OutputError(
                f"{folder}: expected a free name or an older checkpoint, found something else; not replaced"
            )
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        if file_format == "npz":
            write_array_tree(temporary / _ARRAYS_FILE, {}, arrays, kind=kind)
        else:
            with _quiet_orbax(), _writer() as checkpointer:
                checkpointer.save(temporary / _ARRAYS, jax.tree.map(np.asarray, arrays))
        (temporary / _METADATA).write_text(text)
        temporary.chmod(0o755)
        if folder.exists():
            # A folder cannot be renamed onto another: the old one steps aside first.
            aside = temporary / "replaced"
            folder.rename(aside)
            temporary.rename(folder)
            shutil.rmtree(folder / "replaced")
        else:
            temporary.rename(folder)
    except JaxeditError:
        raise
    except Exception as error:  # a full disk is a ValueError of TensorStore's
        raise OutputError(f"{folder}: could not write the checkpoint: {_last_part(error)}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def read_metadata(folder: str | Path) -> dict[str, Any]:
    """The metadata of a checkpoint folder: `kind`, `config`, `versions`, `format_version`.

    Raises:
        CheckpointError: if there is no such folder, it is no jaxedit checkpoint, or a newer version wrote it.
    """
    folder = Path(folder)
    path = folder / _METADATA
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: expected a checkpoint folder, found {'a file' if folder.exists() else 'nothing'}"
        )
    try:
        metadata = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: not a jaxedit checkpoint: it has no {_METADATA}") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged: {error}") from error
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: not the metadata of a jaxedit checkpoint")
    version = metadata.get("format_version")
    if not isinstance(version, int) or not {"kind", "config", "versions"} <= metadata.keys():
        raise CheckpointError(f"{path}: damaged: format_version, kind, config or versions is missing")
    if version > FORMAT_VERSION:
        raise CheckpointError(
            f"{folder}: written in format {version} by jaxedit {metadata['versions'].get('jaxedit')}; "
            f"this jaxedit {__version__} reads formats up to {FORMAT_VERSION}: update jaxedit"
        )
    return metadata


def load_checkpoint(folder: str | Path, *, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a checkpoint folder.

    Args:
        folder: the folder.
        kind: what it must hold.

    Returns:
        The config, and the nested dict of NumPy arrays.

    Raises:
        CheckpointError: if the folder is missing, damaged, foreign, newer, or of another kind.
    """
    folder = Path(folder).absolute()
    metadata = read_metadata(folder)
    found = _RENAMED_KINDS.get(metadata["kind"], metadata["kind"])
    if found != kind:
        raise CheckpointError(f"{folder}: expected a checkpoint of kind '{kind}', found '{metadata['kind']}'")
    if (folder / _ARRAYS_FILE).is_file():
        try:
            return metadata["config"], read_array_tree(folder / _ARRAYS_FILE, kind=kind)[1]
        except InputError as error:
            raise CheckpointError(f"{folder}: damaged: {error}") from error
    return metadata["config"], _read_orbax(folder)


def _read_orbax(folder: Path) -> dict[str, Any]:
    import orbax.checkpoint as ocp

    try:
        handler = ocp.PyTreeCheckpointHandler(**_alone())
        with _quiet_orbax(), ocp.Checkpointer(handler, **_alone()) as checkpointer:
            described = checkpointer.metadata(folder / _ARRAYS)
            tree = described.item_metadata.tree if hasattr(described, "item_metadata") else described
            arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
            return checkpointer.restore(folder / _ARRAYS, restore_args=arguments)
    except Exception as error:  # Orbax and TensorStore raise many kinds for a damaged folder
        raise CheckpointError(f"{folder / _ARRAYS}: damaged: {_last_part(error)}") from error


def _last_part(error: Exception) -> str:
    """The cause at the end of TensorStore's long messages."""
    first_line = (str(error) or type(error).__name__).splitlines()[0]
    return first_line.rsplit('": ', 1)[-1]
