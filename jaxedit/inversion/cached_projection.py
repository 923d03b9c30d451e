"""Projections in the user's cache, so that another edit of a photograph is quick."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator
from jaxedit.inversion.align import FaceChoice
from jaxedit.inversion.photo import Photo
from jaxedit.inversion.project_photos import PhotoProjectionConfig, project_photos
from jaxedit.inversion.projection_folder import PhotoFolder, ProjectionSettings
from jaxedit.inversion.records import earlier_names
from jaxedit.storage.cache import locked
from jaxedit.storage.download import cache_dir


def project_cached(
    photo: str | Path | Photo,
    generator: Generator,
    *,
    generator_name: str,
    config: PhotoProjectionConfig,
    progress: bool = True,
) -> PhotoFolder:
    """The projection of the largest or the chosen face in a photograph, from the cache or made now.

    The cache keeps it under the content of the file, the generator's weights and the settings.

    Args:
        photo: the file.
        generator: makes the images.
        generator_name: its registered name or folder, which the files keep.
        config: settings of the projection of one face; `batch_size`, `devices`, `all_faces`, `is_aligned` and `limits`
            stay at their defaults.
        progress: whether to show bars.

    Raises:
        InputError: if the photograph cannot be read or shows no face, or if the projection diverges.
        OutputError: if the cache cannot be written.
        DownloadError: if a network cannot be fetched.
    """
    photo = photo if isinstance(photo, Photo) else Photo(photo)
    settings = ProjectionSettings.of(
        generator, generator_name, config.projection, config.tuning, config.encoder
    )
    out = cache_dir() / "projections" / _key(photo, settings, config.face, config.thorough)
    with locked(out):
        for path in out.glob("*"):  # named after the photograph's name at that time
            folder = PhotoFolder(path)
            if (done := folder.finished(settings)) is not None and done["is_finite"]:
                return folder
        summary = project_photos(
            [photo],
            out,
            generator,
            config,
            generator_name=generator_name,
            progress=progress,
        )
    for problem in summary.failures.values():
        raise InputError(problem)
    (path,) = summary.metrics
    return PhotoFolder(path)


def _key(photo: Photo, settings: ProjectionSettings, face: FaceChoice | None, thorough: bool) -> str:
    depends: list[Any] = [photo.sha256, settings.weights, earlier_names(settings.config.describe())]
    if settings.encoder_weights is not None:
        depends.append(settings.encoder_weights)
    if settings.tuning is not None:
        depends.append(dataclasses.asdict(settings.tuning))
    if face is not None:
        depends.append(face)
    if thorough:
        depends.append("thorough")
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:24]
