"""Records: small JSON files beside the images of a face, which users read and later runs check.

`align_photos` and `project_photos` write into folders that are the product: images and records with plain names, of
any number of runs, some with other settings. A record therefore belongs to one photograph, and says for which settings
its files are finished; a `RunFolder` holds one request for all of its units, and refuses another.
"""

import json
from pathlib import Path
from typing import Any

from jaxedit.errors import InputError
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.regular_files import read_json

_EARLIER_NAMES = {"is_finite": "is_good", "optimize_noise": "optimise_noise"}
"""Name of today → name in files of earlier versions."""

_CURRENT_NAMES = {earlier: current for current, earlier in _EARLIER_NAMES.items()}


def write_record(path: Path, content: dict[str, Any]) -> None:
    """Write a record.

    Raises:
        OutputError: if the file cannot be written.
    """
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def read_record(path: Path) -> dict[str, Any] | None:
    """Read a record, with the names of today. None where it is absent or damaged: its work is done again."""
    try:
        return current_names(read_json(path, expected="a record"))
    except InputError:
        return None


def current_names(document: Any) -> Any:
    """A JSON document with the names of today, whichever version wrote it."""
    return _renamed(document, _CURRENT_NAMES)


def earlier_names(document: Any) -> Any:
    """A JSON document with the names of earlier versions.

    The cache stores projections under a hash of their settings, which is made of these names, so that projections of
    earlier versions are found.
    """
    return _renamed(document, _EARLIER_NAMES)


def _renamed(document: Any, names: dict[str, str]) -> Any:
    if isinstance(document, dict):
        return {names.get(key, key): _renamed(value, names) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [_renamed(value, names) for value in document]
    return document
