"""One projected face as a folder: crop, latent, reconstruction and reconstruction quality.

The folder is the product that users look at, so its files have plain names and formats. The order in which they are
written says how far a run has come: `photo.json` after the crop, `latent.npz` after the projection, `metrics.json` when
everything is done.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxedit.errors import InputError, OutputError
from jaxedit.generators.protocol import Generator, weights_fingerprint
from jaxedit.generators.render import render
from jaxedit.images import save_image, to_uint8
from jaxedit.inversion.align import AlignedFace
from jaxedit.inversion.config import ProjectionConfig, TuningConfig
from jaxedit.inversion.encoder import Encoder
from jaxedit.inversion.face_limits import FacePlace
from jaxedit.inversion.loss_plot import draw_losses
from jaxedit.inversion.photo import load_photo
from jaxedit.inversion.project import ProjectionResult, check_noise_inputs
from jaxedit.inversion.reconstruction_quality import compare
from jaxedit.inversion.records import current_names, read_record, write_record
from jaxedit.inversion.tuning import GeneratorDelta, tune
from jaxedit.latents.latent_files import (
    DELTA_FILE,
    LATENT_FILE,
    SavedLatent,
    load_latent_file,
    save_latent_file,
)
from jaxedit.nn.lpips import MIN_SIZE as MIN_LPIPS_SIZE
from jaxedit.storage.atomic import write_atomically

PHOTO_FILE = "photo.json"
METRICS_FILE = "metrics.json"
ALIGNED, RECONSTRUCTION, TUNED = "aligned.png", "reconstruction.png", "tuned.png"
COMPARISON, LOSS = "comparison.png", "loss.png"


@dataclasses.dataclass(frozen=True, eq=False)
class ProjectionSettings:
    """Everything that the projection of a crop depends on, but the crop.

    Attributes:
        generator: makes the images.
        generator_name: its registered name or folder, which the files keep.
        config: settings of the projection.
        tuning: settings of the tuning; None for none.
        weights: fingerprint of the generator's weights.
        encoder: finds the first latents; None where the settings start at the mean of W.
        encoder_weights: its fingerprint.
    """

    generator: Generator
    generator_name: str
    config: ProjectionConfig
    tuning: TuningConfig | None
    weights: str
    encoder: Encoder | None = None
    encoder_weights: str | None = None

    @classmethod
    def of(
        cls,
        generator: Generator,
        generator_name: str,
        config: ProjectionConfig,
        tuning: TuningConfig | None = None,
        encoder: Encoder | None = None,
    ) -> "ProjectionSettings":
        """The settings, with the fingerprint of the generator.

        Raises:
            InputError: if the generator lacks the noise images that the settings ask for, or an encoder is missing or
                of another generator.
        """
        check_noise_inputs(generator, config)
        if config.encoder_passes:
            if encoder is None:
                raise InputError(
                    "encoder: expected one, since the settings start from an encoder's latent; got none"
                )
            encoder.check_generator(generator)
        return cls(
            generator,
            generator_name,
            config,
            tuning,
            weights_fingerprint(generator),
            encoder,
            encoder.fingerprint() if config.encoder_passes and encoder is not None else None,
        )

    def describe(self) -> dict[str, Any]:
        """The settings of the projection, without the tuning; JSON-serializable."""
        described = {"weights": self.weights, "config": self.config.describe()}
        return described if self.encoder_weights is None else {**described, "encoder": self.encoder_weights}


@dataclasses.dataclass(frozen=True)
class PhotoFolder:
    """The folder of one face of one photograph.

    Attributes:
        path: DIR/NAME.
    """

    path: Path

    def write_crop(self, face: AlignedFace, photo: dict[str, Any]) -> None:
        """Write the crop and its place in the photograph. Results of another crop are removed.

        Args:
            face: the crop.
            photo: JSON-serializable description of the photograph: "sha256" of the file, "face", the number among its
                faces, and anything else worth keeping.

        Raises:
            OutputError: if it cannot be written.
        """
        known = self.photo()
        if (
            known is None
            or known["quad"] != face.quad.tolist()
            or not np.array_equal(self.crop(), face.image)
        ):
            # The owner first: from here on the folder belongs to this face.
            write_record(self.path / PHOTO_FILE, photo)
            for name in (METRICS_FILE, LATENT_FILE):  # of an earlier crop
                self._remove(name)
            save_image(face.image, self.path / ALIGNED)
        landmarks = face.landmarks.tolist() if np.isfinite(face.landmarks).all() else None
        place = {"score": face.score, "box": face.box, "quad": face.quad.tolist(), "landmarks": landmarks}
        write_record(self.path / PHOTO_FILE, {**photo, **place})

    def is_free(self) -> bool:
        """Whether the folder does not exist or is empty."""
        try:
            return not any(not path.name.endswith(".partial") for path in self.path.iterdir())
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def owner(self) -> tuple[Any, Any]:
        """SHA-256 of the photograph and number of the face, from `write_crop`; None where unknown."""
        photo = read_record(self.path / PHOTO_FILE) or {}
        return photo.get("sha256"), photo.get("face")

    def photo(self) -> dict[str, Any] | None:
        """The description that `write_crop` wrote; None if there is no crop, or a damaged one."""
        photo = read_record(self.path / PHOTO_FILE)
        try:
            quad = np.asarray((photo or {}).get("quad"), np.float64)
            self.crop()
        except (InputError, TypeError, ValueError):
            return None
        return photo if quad.shape == (4, 2) and np.isfinite(quad).all() else None

    def place(self) -> FacePlace:
        """Where the face lies in its photograph.

        Raises:
            InputError: if the description is missing or damaged.
        """
        photo = self.photo()
        if photo is None:
            raise InputError(
                f"{self.path}: expected {PHOTO_FILE} and {ALIGNED}, found them missing or damaged"
            )
        landmarks = photo.get("landmarks")
        return FacePlace(
            quad=np.asarray(photo["quad"], np.float64),
            landmarks=None if landmarks is None else np.asarray(landmarks, np.float64),
            score=float(photo.get("score", 1.0)),
        )

    def crop(self) -> UInt8[np.ndarray, "side side 3"]:
        """The crop.

        Raises:
            InputError: if the file is damaged.
        """
        return load_photo(self.path / ALIGNED)

    def write_projection(self, settings: ProjectionSettings, result: ProjectionResult, index: int) -> None:
        """Write latent, reconstruction, comparison and loss curves.

        Args:
            settings: those of the projection.
            result: of a batch.
            index: place of the image in the batch.

        Raises:
            InputError: if the crop is missing or damaged.
            OutputError: if it cannot be written.
        """
        quad = self.place().quad
        for name in (METRICS_FILE, DELTA_FILE, TUNED, LATENT_FILE):  # a tuning belongs to one latent
            self._remove(name)
        rendering = np.asarray(to_uint8(jnp.asarray(result.image[index])))
        save_image(rendering, self.path / RECONSTRUCTION)
        save_image(side_by_side(self.crop(), rendering), self.path / COMPARISON)
        steps = int(result.steps[index])
        curves = {name: values[index, :steps] for name, values in result.loss_history.items()}
        write_atomically(self.path / LOSS, draw_losses(curves))
        about = {
            "generator": settings.generator_name,
            "projection": settings.describe(),
            "steps": steps,
            "is_finite": bool(result.is_finite[index]),
        }
        noise = None if result.noise is None else {name: image[index] for name, image in result.noise.items()}
        save_latent_file(self.path / LATENT_FILE, result.w_plus[index], about=about, quad=quad, noise=noise)

    def latent(self, settings: ProjectionSettings) -> SavedLatent | None:
        """The latent, if the crop has been projected with these settings; else None."""
        try:
            latent = load_latent_file(self.path)
            latent.of(settings.generator)
        except InputError:
            return None
        latent = dataclasses.replace(latent, about=current_names(latent.about))
        whole = all((self.path / name).is_file() for name in (RECONSTRUCTION, COMPARISON, LOSS))
        return latent if whole and latent.about.get("projection") == settings.describe() else None

    def finish(self, settings: ProjectionSettings, *, progress: bool = True) -> dict[str, Any]:
        """Tune if the settings ask for it, measure the reconstruction quality, and write the metrics.

        Returns:
            The content of the metrics file.

        Raises:
            InputError: if there is no projection with these settings.
            OutputError: if a file cannot be written.
            DownloadError: if a network cannot be fetched.
        """
        latent = self.latent(settings)
        if latent is None:
            raise InputError(f"{self.path}: expected a projection with these settings, found none")
        crop, shown = self.crop(), load_photo(self.path / RECONSTRUCTION, min_side=MIN_LPIPS_SIZE)
        metrics: dict[str, Any] = {
            "projection": settings.describe(),
            "generator": settings.generator_name,
            "steps": latent.about.get("steps"),
            "is_finite": latent.about.get("is_finite"),
            "metrics": compare(crop, shown),
        }
        if settings.tuning is not None:
            delta = tune(
                settings.generator, crop, np.asarray(latent.w[0]), settings.tuning, progress=progress
            )
            rendering = render(delta.apply(settings.generator), latent.of(settings.generator))
            # The delta last: edits look for it.
            save_image(side_by_side(crop, shown, rendering), self.path / COMPARISON)
            save_image(rendering, self.path / TUNED)
            delta.save(self.path / DELTA_FILE)
            metrics |= {
                "tuning": dataclasses.asdict(settings.tuning),
                "tuned_metrics": compare(crop, rendering),
            }
        write_record(self.path / METRICS_FILE, metrics)
        return metrics

    def finished(self, settings: ProjectionSettings) -> dict[str, Any] | None:
        """The metrics, if everything has been done with these settings; else None. A tuning more does no harm."""
        metrics = read_record(self.path / METRICS_FILE)
        if metrics is None or not isinstance(metrics.get("metrics"), dict) or self.latent(settings) is None:
            return None
        if settings.tuning is not None:
            same = metrics.get("tuning") == dataclasses.asdict(settings.tuning)
            if not same or not (self.path / DELTA_FILE).is_file() or not (self.path / TUNED).is_file():
                return None
        return metrics if metrics.get("projection") == settings.describe() else None

    def _remove(self, name: str) -> None:
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{self.path / name}: could not remove: {error}") from error


def load_delta(latent: SavedLatent) -> GeneratorDelta | None:
    """Load the tuning that belongs to a latent; None if there is none.

    Raises:
        CheckpointError: if its file is damaged.
    """
    return None if latent.delta is None else GeneratorDelta.load(latent.delta)


def side_by_side(*images: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "height width 3"]:
    """Square images in a row, all at the size of the smallest."""
    side = min(len(image) for image in images)
    return np.concatenate([at_side(image, side) for image in images], axis=1)


def at_side(image: UInt8[np.ndarray, "_ _ 3"], side: int) -> UInt8[np.ndarray, "{side} {side} 3"]:
    """A square image at so many pixels a side."""
    if len(image) == side:
        return image
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS))
