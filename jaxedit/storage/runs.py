"""Run folders: what makes long work resumable.

    run.json        the request: what was asked for
    UNIT.npz        units of work, each of which appears when it is whole; a unit's name may hold slashes

A run that was interrupted and is started again with the same request reads the units that are there and makes the
others. An interrupted run loses at most the unit in hand. A folder with another request is refused.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxedit._version import __version__
from jaxedit.errors import InputError
from jaxedit.storage.arrays import read_arrays_or_none, write_arrays
from jaxedit.storage.atomic import write_atomically

REQUEST_FILE = "run.json"
_EARLIER_REQUEST_FILE = "job.json"
"""The name of the request in folders of earlier versions, which hold it without `kind` and `format`."""

_FORMAT = 1
_TOLERANCE = 1e-3
"""Of numbers that are compared between runs, relative to their standard deviation: the last digits depend on the
machine."""


class RunFolder:
    """The folder of a resumable run.

    Attributes:
        path: the folder.
        kind: what the run makes ("labels", "evaluation", …).
        request: what was asked for, JSON-serializable.
    """

    def __init__(self, path: str | Path, *, kind: str, request: Mapping[str, Any]) -> None:
        self.path, self.kind, self.request = Path(path), kind, _as_json(request)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        kind: str,
        request: Mapping[str, Any],
        may_differ: tuple[str, ...] = (),
    ) -> "RunFolder":
        """Begin a run, or resume one.

        Args:
            path: a new or empty folder, or one of an earlier run with the same request.
            kind: what the run makes.
            request: what is asked for, JSON-serializable. All on which the units depend belongs in it.
            may_differ: names in the request that a resumed run may change; the folder keeps the new values.

        Raises:
            InputError: if the folder holds something else, or a run with another request.
            OutputError: if the folder cannot be written.
        """
        run = cls(path, kind=kind, request=request)
        found = run._found_request()
        if found is not None:
            run._check(found, may_differ)
        elif run.path.exists() and (not run.path.is_dir() or any(_content(run.path))):
            raise InputError(
                f"{run.path}: expected a new or empty folder, or one of a run of {kind} to resume; give another folder"
            )
        if found != run.request or not (run.path / REQUEST_FILE).is_file():
            run._write_request()
        return run

    @classmethod
    def load(cls, path: str | Path, *, kind: str) -> "RunFolder":
        """The folder of a run that exists.

        Raises:
            InputError: if there is none, it is damaged, or of another kind.
        """
        run = cls(path, kind=kind, request={})
        found = run._found_request()
        if found is None:
            raise InputError(f"{run.path}: expected a folder of {kind}, found no {REQUEST_FILE} in it")
        run.request = found
        return run

    def unit_path(self, unit: str) -> Path:
        """The file of a unit."""
        return self.path / f"{unit}.npz"

    def read(
        self, unit: str, *, under: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray] | None:
        """A unit that is there; None where it is missing, damaged, or was made under other conditions.

        Args:
            unit: its name.
            under: numbers on which the unit depends besides the request; compared up to rounding.
        """
        file = read_arrays_or_none(self.unit_path(unit))
        if file is None:
            return None
        for name, wanted in (under or {}).items():
            found = file.arrays.get(f"when.{name}")
            if found is None or not is_near(found, np.asarray(wanted)):
                return None
        return file.arrays

    def write(
        self,
        unit: str,
        arrays: Mapping[str, Any],
        *,
        under: Mapping[str, np.ndarray] | None = None,
        compressed: bool = False,
    ) -> Path:
        """Keep a unit.

        Raises:
            OutputError: if the file cannot be written.
        """
        conditions = {f"when.{name}": np.asarray(value) for name, value in (under or {}).items()}
        content = {**arrays, **conditions}
        return write_arrays(self.unit_path(unit), content, kind=f"{self.kind} unit", compressed=compressed)

    def get_or_make(
        self,
        unit: str,
        make: Callable[[], Mapping[str, Any]],
        *,
        under: Mapping[str, np.ndarray] | None = None,
    ) -> dict[str, np.ndarray]:
        """A unit, made and kept where it is not there.

        Raises:
            OutputError: if the file cannot be written.
        """
        found = self.read(unit, under=under)
        if found is not None:
            return found
        made = {name: np.asarray(array) for name, array in make().items()}
        self.write(unit, made, under=under)
        return made

    def units(self, folder: str = "") -> list[str]:
        """The names of the units in a folder of the run, in order."""
        files = sorted((self.path / folder).glob("*.npz"))
        return [file.relative_to(self.path).with_suffix("").as_posix() for file in files]

    def _found_request(self) -> dict[str, Any] | None:
        """The request that the folder holds; None where it holds none."""
        for name in (REQUEST_FILE, _EARLIER_REQUEST_FILE):
            path = self.path / name
            if not path.is_file():
                continue
            try:
                content = json.loads(path.read_text())
                if name == _EARLIER_REQUEST_FILE:
                    return {key: value for key, value in content.items() if key != "format"}
                kind, version, request = content["kind"], content["format"], dict(content["request"])
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(f"{path}: damaged: {error}; give another folder") from error
            if kind != self.kind:
                raise InputError(
                    f"{self.path}: expected a folder of {self.kind}, found one of {kind}; give another folder"
                )
            if version != _FORMAT:
                raise InputError(
                    f"{path}: written in format {version} by jaxedit {content.get('jaxedit')}, this version reads "
                    f"{_FORMAT}; give another folder"
                )
            return request
        return None

    def _check(self, found: dict[str, Any], may_differ: tuple[str, ...]) -> None:
        for name in (*self.request, *found):
            if name not in may_differ and found.get(name) != self.request.get(name):
                wanted, held = _differing(self.request.get(name), found.get(name))
                raise InputError(
                    f"{self.path}: holds a run of {self.kind} with another {name}: expected {_shortened(wanted)}, "
                    f"found {_shortened(held)}; give another folder"
                )

    def _write_request(self) -> None:
        content = {
            "kind": self.kind,
            "format": _FORMAT,
            "jaxedit": __version__,
            "request": self.request,
        }
        write_atomically(self.path / REQUEST_FILE, (json.dumps(content, indent=2) + "\n").encode())


def is_near(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether numbers are those of an earlier run, of this or another machine."""
    if found.shape != wanted.shape:
        return False
    spread = max(float(np.std(wanted)), 1e-3) if wanted.size else 1.0
    return bool(np.allclose(found, wanted, rtol=_TOLERANCE, atol=_TOLERANCE * spread))


def _differing(wanted: Any, held: Any) -> tuple[Any, Any]:
    """Two values of a request; of two dictionaries, only the entries that differ."""
    if not (isinstance(wanted, dict) and isinstance(held, dict)):
        return wanted, held
    names = [name for name in {**wanted, **held} if wanted.get(name) != held.get(name)]
    return {n: wanted[n] for n in names if n in wanted}, {n: held[n] for n in names if n in held}


def _as_json(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request as it comes back from JSON: tuples as lists."""
    return json.loads(json.dumps(dict(request)))


def _content(folder: Path) -> list[Path]:
    """What a folder holds, files aside that an interrupted write left."""
    return [path for path in folder.iterdir() if not path.name.endswith(".partial")]


def _shortened(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
