"""Run folders: what makes long work resumable.

    run.json        the request: what was asked for
    UNIT.npz        units of work, each of which appears when it is whole; a unit's name may hold slashes

A run that was interrupted and is started again with the same request reads the units that are there and makes the
others. An interrupted run loses at most the unit in hand. A folder with another request is refused.
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxedit._version import __version__
from jaxedit.errors import InputError
from jaxedit.storage.arrays import ArrayOf, kind_of, read_arrays_or_none, write_arrays
from jaxedit.storage.atomic import HARMLESS, check_writable, write_atomically
from jaxedit.storage.leftovers import is_temporary, sweep_within
from jaxedit.storage.paths import as_path
from jaxedit.storage.regular_files import read_json

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
        self.path, self.kind, self.request = as_path(path), kind, _as_json(request)

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
        found = run._checked_request(may_differ)
        sweep_within(run.path)
        if found is None:
            # Of two runs that begin together the first writes the request, and the other finds it.
            run._write_request(replace=False)
            found = run._checked_request(may_differ)
        if found != run.request or not (run.path / REQUEST_FILE).is_file():
            run._write_request(replace=True)
        return run

    @classmethod
    def check_target(cls, path: str | Path, *, kind: str, request: Mapping[str, Any] | None = None) -> None:
        """Refuse a folder that no run of this kind could use, before work begins.

        Args:
            path: a new or empty folder, or one of an earlier run.
            kind: what the run makes.
            request: what is asked for; None if it is not known yet.

        Raises:
            InputError: if it holds something else, or a run with another request.
            OutputError: if it cannot be written.
        """
        run = cls(path, kind=kind, request=request or {})
        found = run._request_or_free()
        if request is not None and found is not None:
            run._check(found, ())
        check_writable(path)

    def remove(self) -> None:
        """Remove the request, the units and the folder itself. Foreign files stay, and so does their folder."""
        sweep_within(self.path)
        with contextlib.suppress(OSError):
            for unit in self.path.rglob("*.npz"):
                if kind_of(unit) == f"{self.kind} unit":
                    unit.unlink()
            for name in (REQUEST_FILE, _EARLIER_REQUEST_FILE):
                (self.path / name).unlink(missing_ok=True)
            for folder in sorted(self.path.rglob("*"), reverse=True):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
            self.path.rmdir()

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
        self,
        unit: str,
        *,
        under: Mapping[str, np.ndarray] | None = None,
        arrays: Mapping[str, ArrayOf] | None = None,
    ) -> dict[str, np.ndarray] | None:
        """A unit that is there; None where it is missing, damaged, or was made under other conditions.

        Args:
            unit: its name.
            under: numbers on which the unit depends besides the request; compared up to rounding.
            arrays: what its arrays must be; a unit of others counts as damaged.
        """
        file = read_arrays_or_none(self.unit_path(unit), arrays=arrays)
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
        arrays: Mapping[str, ArrayOf] | None = None,
    ) -> dict[str, np.ndarray]:
        """A unit, made and kept where it is not there, or is not what it must be (`read`).

        Raises:
            OutputError: if the file cannot be written.
        """
        found = self.read(unit, under=under, arrays=arrays)
        if found is not None:
            return found
        made = {name: np.asarray(array) for name, array in make().items()}
        self.write(unit, made, under=under)
        return made

    def units(self, folder: str = "") -> list[str]:
        """The names of the units in a folder of the run, in order."""
        files = sorted((self.path / folder).glob("*.npz"))
        return [file.relative_to(self.path).with_suffix("").as_posix() for file in files]

    def _checked_request(self, may_differ: tuple[str, ...]) -> dict[str, Any] | None:
        """The request that the folder holds, which is this one; None in a new or empty folder."""
        found = self._request_or_free()
        if found is not None:
            self._check(found, may_differ)
        return found

    def _request_or_free(self) -> dict[str, Any] | None:
        """The request that the folder holds; None in a new or empty folder."""
        found = self._found_request()
        if found is None and self.path.exists() and (not self.path.is_dir() or any(_content(self.path))):
            found = self._found_request()  # a run that begins now has written it in between
            if found is None:
                raise InputError(
                    f"{self.path}: expected a new or empty folder, or one of a run of {self.kind} to resume; give "
                    "another folder"
                )
        return found

    def _found_request(self) -> dict[str, Any] | None:
        """The request that the folder holds; None where it holds none."""
        for name in (REQUEST_FILE, _EARLIER_REQUEST_FILE):
            path = self.path / name
            if not path.is_file():
                continue
            try:
                content = read_json(path, expected=f"the request of a run of {self.kind}")
                if name == _EARLIER_REQUEST_FILE:
                    return {key: value for key, value in content.items() if key != "format"}
                kind, version, request = content["kind"], content["format"], dict(content["request"])
            except (ValueError, KeyError, TypeError) as error:
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

    def _write_request(self, *, replace: bool) -> None:
        content = {
            "kind": self.kind,
            "format": _FORMAT,
            "jaxedit": __version__,
            "request": self.request,
        }
        text = json.dumps(content, indent=2) + "\n"
        write_atomically(self.path / REQUEST_FILE, text.encode(), replace=replace)


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
    return [path for path in folder.iterdir() if not is_temporary(path.name) and path.name not in HARMLESS]


def _shortened(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
