"""Projections that are kept in the user's cache, so that another edit of a photograph is quick."""

import dataclasses
import hashlib
import json
from pathlib import Path

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator, weights_fingerprint
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.photo import photo_hash
from jaxedit.inversion.project_photos import project_photos
from jaxedit.inversion.projection_folder import PhotoFolder, ProjectionJob
from jaxedit.storage.cache import locked
from jaxedit.storage.download import cache_dir


def project_cached(
    photo: str | Path,
    generator: Generator,
    *,
    generator_name: str,
    config: ProjectionConfig,
    progress: bool = True,
) -> PhotoFolder:
    """The projection of the largest face of a photograph, sought where the cache has it not.

    It is kept by what it depends on: the content of the file, the generator's weights and the settings.

    Args:
        photo: the file.
        generator: makes the images.
        generator_name: its name or folder.
        config: the settings.
        progress: whether to show bars.

    Raises:
        InputError: if the photograph cannot be read or shows no face, or the projection diverges.
        OutputError: if the cache cannot be written.
        DownloadError: if a network cannot be fetched.
    """
    job = ProjectionJob(generator, generator_name, config, None, weights_fingerprint(generator))
    depends = [photo_hash(Path(photo)), job.weights, dataclasses.asdict(config)]
    key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:24]
    out = cache_dir() / "projections" / key
    with locked(out):
        for path in out.glob("*"):  # by the name that the photograph had then
            folder = PhotoFolder(path)
            if (done := folder.finished(job)) is not None and done["is_finite"]:
                return folder
        summary = project_photos(
            [photo], out, generator, generator_name=generator_name, config=config, progress=progress
        )
    for problem in summary.failures.values():
        raise InputError(problem)
    (path,) = summary.metrics
    return PhotoFolder(path)
