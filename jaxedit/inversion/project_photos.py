"""Many photographs to folders of projections. Interrupted runs resume."""

import dataclasses
import functools
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
from jaxedit.generators.protocol import Generator
from jaxedit.inversion.align import AlignedFace, FaceChoice, align, check_choice, number_of_face
from jaxedit.inversion.config import ProjectionConfig, TuningConfig
from jaxedit.inversion.encoder import Encoder
from jaxedit.inversion.face_limits import FaceLimits
from jaxedit.inversion.photo import Photo
from jaxedit.inversion.project import ProjectionResult, project
from jaxedit.inversion.projection_folder import PhotoFolder, ProjectionSettings
from jaxedit.inversion.projection_problem import LatentPrior
from jaxedit.parallel import fitting_mesh, local_part
from jaxedit.storage.paths import as_path

_UNFINISHED = ".unfinished"  # state of a batch, in the folder of its first photograph


@dataclasses.dataclass(frozen=True)
class PhotoProjectionConfig:
    """Settings of `project_photos`.

    Attributes:
        projection: settings of the projection.
        tuning: settings of a tuning after it; None for none.
        batch_size: number of faces that are projected at once.
        devices: number of this process's devices that a batch is divided over; None for the most that divide it. A
            smaller last batch uses as many of them as divide it.
        all_faces: project every face of each photograph, not the largest alone.
        face: project another face than the largest, as `align` chooses it.
        thorough: search turned and in tiles in every photograph, as `align` does.
        is_aligned: the photographs are square crops already, for example from `align_photos`.
        encoder: finds the first latents where the projection asks for `encoder_passes`.
        limits: faces beyond them are named among the failures and not projected; None projects every face.
    """

    projection: ProjectionConfig
    tuning: TuningConfig | None = None
    batch_size: int = 1
    devices: int | None = None
    all_faces: bool = False
    is_aligned: bool = False
    face: FaceChoice | None = None
    thorough: bool = False
    encoder: Encoder | None = None
    limits: FaceLimits | None = None

    def __post_init__(self) -> None:
        if self.face is not None:
            check_choice(self.face)
            if self.all_faces or self.is_aligned:
                raise InputError("face: expected none together with all faces or with aligned crops")
        if self.thorough and self.is_aligned:
            raise InputError("thorough: expected no search together with aligned crops")
        if self.batch_size < 1:
            raise InputError(f"batch_size: expected 1 or more, got {self.batch_size}")


@dataclasses.dataclass(frozen=True)
class ProjectionSummary:
    """Result of `project_photos`.

    Attributes:
        metrics: folder → its metrics, of this run and of earlier ones.
        failures: photograph or folder → what went wrong.
    """

    metrics: dict[Path, dict[str, Any]]
    failures: dict[Path, str]


def project_photos(
    photos: Sequence[str | Path | Photo],
    out: str | Path,
    generator: Generator,
    config: PhotoProjectionConfig,
    *,
    generator_name: str,
    progress: bool = True,
) -> ProjectionSummary:
    """Align photographs, project their faces, and write a folder for each face.

    The largest face of `NAME.jpg` goes to `OUT/NAME`, the others to `NAME_2`, …. Another photograph of the same name
    gets the next free name, because a folder belongs to the content of its photograph. Finished faces are skipped,
    unless the settings have changed. A photograph that cannot be read or shows no face does not stop the others.

    Args:
        photos: files.
        out: the folder, new or of an earlier run.
        generator: makes the images.
        config: the settings.
        generator_name: its registered name or folder, which the files keep.
        progress: whether to show bars.

    Raises:
        InputError: if the batch size is not a multiple of `devices`, if there are fewer devices, or if the generator
            lacks what the settings ask for.
        OutputError: if a folder cannot be written.
        DownloadError: if a network cannot be fetched.
    """
    out = as_path(out)
    most_devices = local_part(fitting_mesh(config.batch_size, config.devices)).size
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: expected a folder, found a file")
    settings = ProjectionSettings.of(
        generator, generator_name, config.projection, config.tuning, config.encoder
    )
    folders: dict[Path, PhotoFolder] = {}
    failures: dict[Path, str] = {}
    for item in tqdm(photos, desc="aligning", unit="photo", disable=not progress, file=sys.stderr):
        photo = item if isinstance(item, Photo) else Photo(item)
        try:
            for folder in _crops_of(photo, out, config):
                problem = None if config.limits is None else config.limits.problem(folder.place())
                if problem is None:
                    folders[folder.path] = folder
                else:
                    failures[folder.path] = f"{photo.path}: {problem}"
        except InputError as error:
            failures[photo.path] = str(error)
    waiting = [folder for folder in folders.values() if folder.latent(settings) is None]
    for number, batch in enumerate(batches := _batches(waiting, config.batch_size), 1):
        if progress:
            names = ", ".join(folder.path.name for folder in batch)
            print(f"projecting {names} ({number} of {len(batches)})", file=sys.stderr, flush=True)
        _project_batch(batch, settings, most_devices, progress=progress)
        for folder in batch:  # tuned and measured at once, so that an interrupted run leaves finished folders
            folder.finish(settings, progress=progress)
    metrics: dict[Path, dict[str, Any]] = {}
    for path, folder in folders.items():
        done = folder.finished(settings) or folder.finish(settings, progress=progress)
        if done["is_finite"]:
            metrics[path] = done
        else:
            failures[path] = (
                f"{path}: the projection diverged in step {done['steps']}; its last finite latent is kept"
            )
    return ProjectionSummary(metrics, failures)


def _crops_of(photo: Photo, out: Path, config: PhotoProjectionConfig) -> list[PhotoFolder]:
    """The folders of a photograph's faces with their crops, from an earlier run or made now."""
    all_faces, is_aligned = config.all_faces, config.is_aligned
    search = {"is_aligned": is_aligned, "thorough": config.thorough}
    described = {"photo": photo.path.name, "sha256": photo.sha256, **search}
    if config.face is not None:
        faces = align(photo, thorough=config.thorough)
        chosen = number_of_face(faces, config.face, name=str(photo.path))
        folder = folder_of(photo, out, chosen)
        if not _is_crop(folder, search):
            folder.write_crop(faces[chosen - 1], {**described, "face": chosen, "num_faces": None})
        return [folder]
    known = folder_of(photo, out).photo()
    if known is not None and _is_of(known, search):
        count = known.get("num_faces") if all_faces else 1
        if isinstance(count, int):
            folders = [folder_of(photo, out, face + 1) for face in range(count)]
            if all(_is_crop(folder, search) for folder in folders):
                return folders
    find = functools.partial(align, largest_only=not all_faces, thorough=config.thorough)
    faces = [_as_aligned(photo)] if is_aligned else find(photo)
    folders = []
    # The first one last: it holds the number of faces.
    for face in reversed(range(len(faces))):
        folder = folder_of(photo, out, face + 1)
        count = len(faces) if all_faces or is_aligned else None
        folder.write_crop(faces[face], {**described, "face": face + 1, "num_faces": count})
        folders.append(folder)
    return folders[::-1]


def folder_of(photo: Photo, out: Path, face: int = 1) -> PhotoFolder:
    """The folder of one face of a photograph: the one that it has already, or the first free name.

    Args:
        photo: gives the name and the hash.
        out: the parent folder.
        face: number of the face; the largest is 1.
    """
    stem = photo.path.stem.strip(". ") or "photo"
    for number in itertools.count(face):
        folder = PhotoFolder(out / (stem if number == 1 else f"{stem}_{number}"))
        if folder.is_free() or folder.owner() == (photo.sha256, face):
            return folder
    raise AssertionError


def _is_crop(folder: PhotoFolder, search: dict[str, bool]) -> bool:
    photo = folder.photo()
    return photo is not None and _is_of(photo, search)


def _is_of(photo: dict[str, Any], search: dict[str, bool]) -> bool:
    """Whether a crop was made as it would be now; earlier versions had no thorough search."""
    return all(photo.get(name, False) == value for name, value in search.items())


def _as_aligned(photo: Photo) -> AlignedFace:
    """A photograph that is a crop already."""
    image = photo.pixels
    height, width = image.shape[:2]
    if height != width:
        raise InputError(f"{photo.path}: expected an aligned crop, which is square, found {width} × {height}")
    quad = np.asarray([[0, 0], [0, height], [width, height], [width, 0]], np.float64)
    nowhere = np.full((68, 2), np.nan)
    return AlignedFace(image, quad, nowhere, (0.0, 0.0, float(width), float(height)), 1.0)


def _batches(folders: Sequence[PhotoFolder], batch_size: int) -> list[list[PhotoFolder]]:
    """Batches of folders whose crops have the same size."""
    by_side: dict[int, list[PhotoFolder]] = {}
    for folder in folders:
        by_side.setdefault(len(folder.crop()), []).append(folder)
    return [
        group[first : first + batch_size]
        for group in by_side.values()
        for first in range(0, len(group), batch_size)
    ]


def _project_batch(
    batch: Sequence[PhotoFolder], settings: ProjectionSettings, most_devices: int, *, progress: bool
) -> None:
    crops = np.stack([folder.crop() for folder in batch])
    mesh = local_part(fitting_mesh(len(batch), math.gcd(len(batch), most_devices)))
    state = batch[0].path / _UNFINISHED

    def run() -> ProjectionResult:
        return project(
            settings.generator,
            crops,
            settings.config,
            prior=LatentPrior(encoder=settings.encoder),
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
        # The state of other settings or of another batch, or a damaged one.
        shutil.rmtree(state, ignore_errors=True)
        result = run()
    # The first folder last: until it has its latent, the state in it is found again.
    for index in reversed(range(len(batch))):
        batch[index].write_projection(settings, result, index)
    shutil.rmtree(state, ignore_errors=True)
