"""The face of a visitor: by number, at random, or of a photograph."""

import dataclasses
import math
import secrets
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxedit.errors import InputError
from jaxedit.inversion.align import AlignedFace, align
from jaxedit.inversion.cached_projection import project_cached
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.encoder import Encoder
from jaxedit.inversion.photo import Photo
from jaxedit.inversion.photograph import Photograph, read_photograph
from jaxedit.inversion.project_photos import PhotoProjectionConfig, project_photos
from jaxedit.inversion.projection_folder import PhotoFolder
from jaxedit.latents.latent_files import load_latent_file
from jaxedit.latents.seed_stream import w_of_seed

TRUNCATION = 0.7
"""Of faces by number, as in `jaxedit edit`."""

MAX_NUMBER = 2**32 - 1

MAX_UPLOAD_BYTES = 64 * 2**20
"""Largest photograph that the page takes."""

_SHOWN_SIDE = 256
_MOST_FACES = 12


@dataclasses.dataclass(frozen=True, eq=False)
class StudioFace:
    """A face with its latent.

    Attributes:
        w: a latent of W, or of W+ for a photograph.
        seed: number of the face; None for a photograph.
        noise: noise images of a projection; None for the generator's own.
        photograph: that it comes from; None for a number.
        quad: corners of the crop in the photograph.
        crop: the crop of the photograph, 0…255.
        preset: of the projection; None for the device's.
    """

    w: Array | np.ndarray
    seed: int | None = None
    noise: dict[str, Array] | None = None
    photograph: Photograph | None = None
    quad: Float[np.ndarray, "4 2"] | None = None
    crop: UInt8[np.ndarray, "side side 3"] | None = None
    preset: str | None = None

    @property
    def pivot(self) -> Array | np.ndarray | None:
        """As `AttributeAxes.edit` takes it."""
        return self.w if self.w.ndim == 3 and self.seed is None else None

    @property
    def name(self) -> str:
        """For the page and for names of files."""
        return f"face {self.seed}" if self.photograph is None else self.photograph.path.stem


def face_of_number(generator: Any, number: float | int | str | None) -> StudioFace:
    """A face by its number.

    Raises:
        InputError: if the number is none of 0 … 4294967295.
    """
    try:
        value = float("nan" if number is None else number)
    except ValueError:
        value = -1.0
    if not math.isfinite(value) or value != int(value) or not 0 <= value <= MAX_NUMBER:
        raise InputError(f"face: expected a whole number, 0 … {MAX_NUMBER}, got {number!r}")
    return StudioFace(
        jax.device_get(w_of_seed(generator, int(value), truncation_psi=TRUNCATION)), seed=int(value)
    )


def random_number() -> int:
    """A number of a face that nobody chose; small, so that people can write it down."""
    return secrets.randbelow(100_000)


@dataclasses.dataclass(frozen=True, eq=False)
class FoundFaces:
    """A photograph, and the faces in it, the largest first.

    Attributes:
        photograph: the photograph.
        faces: with small crops.
    """

    photograph: Photograph
    faces: tuple[AlignedFace, ...]


def find_faces(path: str | Path) -> FoundFaces:
    """Read a photograph and find its faces.

    Raises:
        InputError: if the file is too large, no photograph, or shows no face.
        DownloadError: if the face networks cannot be fetched.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(
            f"{path.name}: expected a photograph, could not read it: {error.strerror}"
        ) from error
    if size > MAX_UPLOAD_BYTES:
        raise InputError(
            f"{path.name}: expected at most {MAX_UPLOAD_BYTES // 2**20} MB, got {size / 2**20:.0f} MB"
        )
    try:
        photograph = read_photograph(path)
        found = align(photograph.file, _SHOWN_SIDE)
    except InputError as error:  # a visitor knows the name alone
        raise InputError(str(error).replace(str(path), path.name)) from error
    return FoundFaces(photograph, tuple(found[:_MOST_FACES]))


def face_of_photograph(
    generator: Any,
    photograph: Photograph,
    number: int,
    *,
    generator_name: str,
    config: ProjectionConfig,
    encoder: Encoder | None = None,
    private: Path | None = None,
) -> StudioFace:
    """Project a face of a photograph: its latent, which takes its time once.

    Args:
        generator: makes the images.
        photograph: the photograph.
        number: of the face, 1 for the largest.
        generator_name: its name or folder.
        config: settings of the projection.
        encoder: that they start from, if they do.
        private: folder that keeps the projection and nothing else does; None for the user's cache.

    Raises:
        InputError: if there is no such face, or the projection diverges.
        DownloadError, OutputError: as `project_photos`.
    """
    wanted = PhotoProjectionConfig(config, face=number, encoder=encoder)
    if private is None:
        folder = project_cached(photograph.file, generator, generator_name=generator_name, config=wanted)
    else:
        folder = _projected(
            photograph.file,
            generator,
            private / f"face-{number}-{config.num_steps}",
            wanted,
            generator_name,
        )
    saved = load_latent_file(folder.path)
    return StudioFace(
        jax.device_get(saved.of(generator)),
        noise=saved.noise_of(generator),
        photograph=photograph,
        quad=folder.place().quad,
        crop=folder.crop(),
    )


def _projected(
    photo: Photo, generator: Any, out: Path, config: PhotoProjectionConfig, generator_name: str
) -> PhotoFolder:
    summary = project_photos([photo], out, generator, config, generator_name=generator_name)
    for problem in summary.failures.values():
        raise InputError(problem)
    (path,) = summary.metrics
    return PhotoFolder(path)
