"""Many photographs with the same edits, as one job at a time, with progress and an archive at the end.

A job has a secret number, which the page keeps, so it is found again after a reload and after a restart.
"""

import dataclasses
import json
import queue
import re
import secrets
import shutil
import threading
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxedit.errors import InputError
from jaxedit.inversion.face_limits import FaceLimits
from jaxedit.inversion.presets import preset
from jaxedit.inversion.project_photos import PhotoProjectionConfig
from jaxedit.inversion.projection_folder import METRICS_FILE
from jaxedit.photographs.edit_photos import PhotoEdits, edit_photos
from jaxedit.storage.atomic import write_atomically
from jaxedit.studio.studio import Studio

MAX_PHOTOS = 200
KEPT_SECONDS = 3600.0
"""Time after the end of a job when its files are removed."""

_STATE, _ARCHIVE = "job.json", "edited_photographs.zip"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,40}")


@dataclasses.dataclass(frozen=True)
class JobState:
    """Where a job stands.

    Attributes:
        status: "waiting", "running", "done" or "failed".
        total: photographs.
        finished: photographs whose faces are projected.
        message: what came of it, or why it failed.
        archive: the results, when it is done.
    """

    status: str
    total: int
    finished: int
    message: str = ""
    archive: Path | None = None

    def in_words(self) -> str:
        """One sentence for the page."""
        match self.status:
            case "waiting":
                return f"Waiting for its turn: {self.total} photographs."
            case "running":
                return f"{self.finished} of {self.total} photographs."
            case _:
                return self.message


class Jobs:
    """The jobs of a studio, one after the other.

    Args:
        studio: whose generator and axes are used.
        folder: of all jobs; those that were not done go on.
    """

    def __init__(self, studio: Studio, folder: Path) -> None:
        self.studio, self.folder = studio, folder
        self._queue: queue.Queue[str] = queue.Queue()
        for path in sorted(folder.glob(f"*/{_STATE}")):
            if _read_state(path).get("status") in ("waiting", "running"):
                self._queue.put(path.parent.name)
        threading.Thread(target=self._work, name="studio-jobs", daemon=True).start()

    def add(self, photos: Sequence[str | Path], amounts: Mapping[str, float | int]) -> str:
        """Queue a job; gives its secret number.

        Args:
            photos: files, which are copied.
            amounts: in standard deviations.

        Raises:
            InputError: if there are none or too many, or nothing is edited.
        """
        if not photos:
            raise InputError("photographs: expected one or more, got none")
        if len(photos) > MAX_PHOTOS:
            raise InputError(f"photographs: expected at most {MAX_PHOTOS}, got {len(photos)}")
        if not amounts:
            raise InputError("edits: expected one or more, got none: move a slider on the first tab")
        self.sweep()
        token = secrets.token_urlsafe(18)
        uploads = self.folder / token / "photographs"
        uploads.mkdir(parents=True, mode=0o700)
        for number, photo in enumerate(photos, 1):
            source = Path(photo)
            stem = re.sub(r"[^\w\-]+", "_", source.stem)[:60] or "photo"
            target = uploads / f"{stem}{source.suffix.lower()[:6]}"
            shutil.copyfile(source, target if not target.exists() else uploads / f"{number}_{target.name}")
        self._write(token, status="waiting", total=len(photos), amounts=dict(amounts))
        self._queue.put(token)
        return token

    def state(self, token: str) -> JobState | None:
        """Where a job stands; None if there is none of this number."""
        if not _TOKEN.fullmatch(token or ""):
            return None
        found = _read_state(self.folder / token / _STATE)
        if not found:
            return None
        out = self.folder / token / "results"
        finished = len(list(out.glob(f"*/{METRICS_FILE}"))) if out.exists() else 0
        archive = self.folder / token / _ARCHIVE
        total = int(found["total"])
        return JobState(
            found["status"],
            total,
            min(finished, total),
            found.get("message", ""),
            archive if found["status"] == "done" and archive.is_file() else None,
        )

    def sweep(self) -> None:
        """Remove the jobs that ended an hour ago."""
        for path in self.folder.glob(f"*/{_STATE}"):
            found = _read_state(path)
            if found.get("ended") and time.time() - found["ended"] > KEPT_SECONDS:
                shutil.rmtree(path.parent, ignore_errors=True)

    def wait(self) -> None:
        """Until all jobs are done."""
        self._queue.join()

    def _work(self) -> None:
        while True:
            token = self._queue.get()
            try:
                self._run(token)
            except Exception as error:  # shown on the page: a thread has nobody to raise to, and others wait
                self._write(token, status="failed", message=str(error), ended=time.time())
            finally:
                self._queue.task_done()

    def _run(self, token: str) -> None:
        folder = self.folder / token
        self._write(token, status="running")
        config = self.studio.config
        projection = preset(None, num_steps=config.num_steps)
        result = edit_photos(
            sorted((folder / "photographs").iterdir()),
            folder / "results",
            self.studio.generator,
            self.studio.axes,
            PhotoEdits(
                _read_state(folder / _STATE)["amounts"], in_places=self.studio.drawer.places is not None
            ),
            PhotoProjectionConfig(projection, batch_size=1, limits=FaceLimits()),
            generator_name=config.generator,
            progress=False,
        )
        archive = folder / _ARCHIVE
        unfinished = archive.with_suffix(".part")
        with zipfile.ZipFile(unfinished, "w") as file:
            for path in (*result.edited, result.table):
                file.write(path, path.relative_to(folder / "results"))
            if result.failures:
                file.writestr("left_out.txt", "\n".join(_reasons(result.failures)) + "\n")
        unfinished.replace(archive)
        left = f" Left out: {'; '.join(_reasons(result.failures))}" if result.failures else ""
        self._write(token, status="done", message=f"{len(result.edited)} edited.{left}", ended=time.time())

    def _write(self, token: str, **values: Any) -> None:
        path = self.folder / token / _STATE
        write_atomically(path, json.dumps({**_read_state(path), **values}).encode())


def _reasons(failures: Mapping[Path, str]) -> list[str]:
    """Why photographs were left out, without the paths of this machine."""
    return [
        f"{path.name}: {' '.join(why.replace(str(path), path.name).split()).removeprefix(f'{path.name}: ')}"
        for path, why in failures.items()
    ]


def _read_state(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
