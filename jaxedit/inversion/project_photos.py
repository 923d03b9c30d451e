"""Many photographs to folders of projections; a run that was stopped goes on where it was."""

import dataclasses
import itertools
import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from jaxedit.errors import CheckpointError, InputError, OutputError
from jaxedit.generators.protocol import Generator, weights_fingerprint
from jaxedit.inversion.align import AlignedFace, align
from jaxedit.inversion.config import ProjectionConfig, TuningConfig
from jaxedit.inversion.photo import load_photo, photo_hash
from jaxedit.inversion.project import ProjectionResult, project
from jaxedit.inversion.projection_folder import PhotoFolder, ProjectionJob
from jaxedit.parallel import fitting_mesh, local_part

_UNFINISHED = ".unfinished"  # state of a batch, in the folder of its first photograph


@dataclasses.dataclass(frozen=True)
class ProjectionSummary:
    """What came of it.

    Attributes:
        metrics: folder → its metrics, of all that went well, now or before.
        failures: photograph or folder → what was wrong with it.
    """

    metrics: dict[Path, dict[str, Any]]
    failures: dict[Path, str]


def project_photos(
    photos: Sequence[str | Path],
    out: str | Path,
    generator: Generator,
    *,
    generator_name: str,
    config: ProjectionConfig,
    tuning: TuningConfig | None = None,
    batch_size: int = 1,
    devices: int | None = None,
    all_faces: bool = False,
    is_aligned: bool = False,
    progress: bool = True,
) -> ProjectionSummary:
    """Align photographs, project their faces, and write a folder for each.

    The face of `NAME.jpg` goes to `OUT/NAME`, further ones to `NAME_2`, …; so does another photograph of that name, as
    a folder is known by the content of its photograph. What is done is not done again unless the settings have changed.
    A photograph that cannot be read, or that shows no face, stops no other.

    Args:
        photos: files.
        out: the folder, new or to go on with.
        generator: makes the images.
        generator_name: its name or folder, which the files keep.
        config: settings of the projection.
        tuning: settings of a tuning after it; None for none.
        batch_size: photographs that are sought at once.
        devices: over how many of this process's devices a batch is divided; by default the most that divide it. A last
            batch of fewer photographs goes over as many of them as divide it.
        all_faces: all faces of each photograph, not only the largest.
        is_aligned: the photographs are crops already, square ones.
        progress: whether to show bars.

    Raises:
        InputError: if the batch size is not positive, or not a multiple of `devices`, or these are not there, or the
            generator cannot do what is asked.
        OutputError: if a folder cannot be written.
        DownloadError: if a network cannot be fetched.
    """
    out = Path(out)
    if batch_size < 1:
        raise InputError(f"batch_size: expected 1 or more, got {batch_size}")
    most = local_part(fitting_mesh(batch_size, devices)).size
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: expected a folder, found a file")
    job = ProjectionJob(generator, generator_name, config, tuning, weights_fingerprint(generator))
    folders: dict[Path, PhotoFolder] = {}
    failures: dict[Path, str] = {}
    for photo in tqdm(photos, desc="aligning", unit="photo", disable=not progress, file=sys.stderr):
        try:
            for folder in _crops_of(Path(photo), out, all_faces=all_faces, is_aligned=is_aligned):
                folders[folder.path] = folder
        except InputError as error:
            failures[Path(photo)] = str(error)
    waiting = [folder for folder in folders.values() if folder.latent(job) is None]
    for number, batch in enumerate(batches := _batches(waiting, batch_size), 1):
        if progress:
            names = ", ".join(folder.path.name for folder in batch)
            print(f"projecting {names} ({number} of {len(batches)})", file=sys.stderr, flush=True)
        _project_batch(batch, job, most, progress=progress)
        for folder in batch:  # the tuning too, so that what a killed run leaves is as finished as can be
            folder.finish(job, progress=progress)
    metrics: dict[Path, dict[str, Any]] = {}
    for path, folder in folders.items():
        done = folder.finished(job) or folder.finish(job, progress=progress)
        if done["is_finite"]:
            metrics[path] = done
        else:
            failures[path] = (
                f"{path}: the projection diverged in step {done['steps']}; its last good latent is kept"
            )
    return ProjectionSummary(metrics, failures)


def _crops_of(photo: Path, out: Path, *, all_faces: bool, is_aligned: bool) -> list[PhotoFolder]:
    """The folders of a photograph's faces, each with its crop, made now or before."""
    digest = photo_hash(photo)
    described = {"photo": photo.name, "sha256": digest, "is_aligned": is_aligned}
    known = folder_of(photo, out, digest).photo()
    if known is not None and known.get("is_aligned") == is_aligned:
        count = known.get("num_faces") if all_faces else 1
        if isinstance(count, int):
            folders = [folder_of(photo, out, digest, face + 1) for face in range(count)]
            if all(_is_crop(folder, is_aligned) for folder in folders):
                return folders
    faces = [_as_aligned(photo)] if is_aligned else align(photo, largest_only=not all_faces)
    folders = []
    # The first one last: it says how many there are.
    for face in reversed(range(len(faces))):
        folder = folder_of(photo, out, digest, face + 1)
        count = len(faces) if all_faces or is_aligned else None
        folder.write_crop(faces[face], {**described, "face": face + 1, "num_faces": count})
        folders.append(folder)
    return folders[::-1]


def folder_of(photo: Path, out: Path, digest: str, face: int = 1) -> PhotoFolder:
    """The folder of one face of a photograph: the one that it has already, or the first of its names that is free.

    Args:
        photo: the file, which gives the name.
        out: in which the folder is.
        digest: SHA-256 of the file.
        face: number of the face, the largest being 1.
    """
    stem = photo.stem.strip(". ") or "photo"
    for number in itertools.count(face):
        folder = PhotoFolder(out / (stem if number == 1 else f"{stem}_{number}"))
        if folder.is_free() or folder.owner() == (digest, face):
            return folder
    raise AssertionError


def _is_crop(folder: PhotoFolder, is_aligned: bool) -> bool:
    photo = folder.photo()
    return photo is not None and photo.get("is_aligned") == is_aligned


def _as_aligned(photo: Path) -> AlignedFace:
    """An image that is a crop itself."""
    image = load_photo(photo)
    height, width = image.shape[:2]
    if height != width:
        raise InputError(f"{photo}: expected an aligned crop, which is square, found {width} × {height}")
    quad = np.asarray([[0, 0], [0, height], [width, height], [width, 0]], np.float64)
    nowhere = np.full((68, 2), np.nan)
    return AlignedFace(image, quad, nowhere, (0.0, 0.0, float(width), float(height)), 1.0)


def _batches(folders: Sequence[PhotoFolder], batch_size: int) -> list[list[PhotoFolder]]:
    """Folders whose crops have one size, so many at a time."""
    by_side: dict[int, list[PhotoFolder]] = {}
    for folder in folders:
        by_side.setdefault(len(folder.crop()), []).append(folder)
    return [
        group[first : first + batch_size]
        for group in by_side.values()
        for first in range(0, len(group), batch_size)
    ]


def _project_batch(
    batch: Sequence[PhotoFolder], job: ProjectionJob, most_devices: int, *, progress: bool
) -> None:
    crops = np.stack([folder.crop() for folder in batch])
    mesh = local_part(fitting_mesh(len(batch), math.gcd(len(batch), most_devices)))
    state = batch[0].path / _UNFINISHED

    def run() -> ProjectionResult:
        return project(
            job.generator,
            crops,
            job.config,
            mesh=mesh if mesh.size > 1 else None,
            checkpoint_dir=state,
            progress=progress,
        )

    was_begun = state.exists()
    try:
        result = run()
    except CheckpointError:
        if not was_begun:
            raise
        # It is of other settings or of another batch, or damaged.
        shutil.rmtree(state, ignore_errors=True)
        result = run()
    # The first one last: while the state is there, its folder counts as unfinished, and the state is found again.
    for index in reversed(range(len(batch))):
        batch[index].write_projection(job, result, index)
    shutil.rmtree(state, ignore_errors=True)
