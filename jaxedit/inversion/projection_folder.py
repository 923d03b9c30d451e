"""One projected photograph as a folder: the crop, its latent, the reconstruction, and how near it comes.

Its files are written in an order that tells how far a run has come: `photo.json` when the crop is there, `latent.npz`
when it has been projected, `metrics.json` when all is done.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxedit.errors import InputError, OutputError
from jaxedit.generators.protocol import Generator
from jaxedit.images import save_image, to_uint8
from jaxedit.inversion.align import AlignedFace
from jaxedit.inversion.config import ProjectionConfig, TuningConfig
from jaxedit.inversion.loss_plot import draw_losses
from jaxedit.inversion.photo import load_photo
from jaxedit.inversion.project import ProjectionResult
from jaxedit.inversion.reconstruction_quality import compare
from jaxedit.inversion.tuning import GeneratorDelta, tune
from jaxedit.latents.latent_files import (
    DELTA_FILE,
    LATENT_FILE,
    SavedLatent,
    load_latent_file,
    save_latent_file,
)
from jaxedit.storage.atomic import write_atomically

PHOTO_FILE = "photo.json"
METRICS_FILE = "metrics.json"
ALIGNED, RECONSTRUCTION, TUNED = "aligned.png", "reconstruction.png", "tuned.png"
COMPARISON, LOSS = "comparison.png", "loss.png"


@dataclasses.dataclass(frozen=True, eq=False)
class ProjectionJob:
    """What becomes of a crop: all that a projection depends on but the crop.

    Attributes:
        generator: makes the images.
        generator_name: its name or folder, which the files keep.
        config: settings of the projection.
        tuning: settings of the tuning; None for none.
        weights: fingerprint of the generator, from `weights_fingerprint`.
    """

    generator: Generator
    generator_name: str
    config: ProjectionConfig
    tuning: TuningConfig | None
    weights: str

    def describe(self) -> dict[str, Any]:
        """The settings of the projection, without the tuning; JSON-serializable."""
        return {"weights": self.weights, "config": dataclasses.asdict(self.config)}


@dataclasses.dataclass(frozen=True)
class PhotoFolder:
    """The folder of one face of one photograph.

    Attributes:
        path: DIR/NAME.
    """

    path: Path

    def write_crop(self, face: AlignedFace, photo: dict[str, Any]) -> None:
        """Keep the crop, and where it comes from. What was made of another crop is done with.

        Args:
            face: the crop.
            photo: what is known of the photograph, JSON-serializable: "sha256" of the file, "face", the number among
                its faces, and whatever else is to be kept.

        Raises:
            OutputError: if it cannot be written.
        """
        known = self.photo()
        if (
            known is None
            or known["quad"] != face.quad.tolist()
            or not np.array_equal(self.crop(), face.image)
        ):
            # Whose folder it is stands in it before anything else does.
            self._write_json(PHOTO_FILE, photo)
            for name in (METRICS_FILE, LATENT_FILE):  # they are of an earlier crop
                self._remove(name)
            save_image(face.image, self.path / ALIGNED)
        landmarks = face.landmarks.tolist() if np.isfinite(face.landmarks).all() else None
        place = {"score": face.score, "box": face.box, "quad": face.quad.tolist(), "landmarks": landmarks}
        self._write_json(PHOTO_FILE, {**photo, **place})

    def is_free(self) -> bool:
        """Whether nothing is there that could be anybody's."""
        try:
            return not any(not path.name.endswith(".partial") for path in self.path.iterdir())
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def owner(self) -> tuple[Any, Any]:
        """SHA-256 of the photograph and number of the face, as `write_crop` was given them."""
        photo = self._read_json(PHOTO_FILE) or {}
        return photo.get("sha256"), photo.get("face")

    def photo(self) -> dict[str, Any] | None:
        """What `write_crop` kept; None if there is no crop, or a damaged one."""
        photo = self._read_json(PHOTO_FILE)
        try:
            quad = np.asarray((photo or {}).get("quad"), np.float64)
            self.crop()
        except (InputError, TypeError, ValueError):
            return None
        return photo if quad.shape == (4, 2) and np.isfinite(quad).all() else None

    def crop(self) -> UInt8[np.ndarray, "side side 3"]:
        """The crop.

        Raises:
            InputError: if the file is damaged.
        """
        return load_photo(self.path / ALIGNED)

    def write_projection(self, job: ProjectionJob, result: ProjectionResult, index: int) -> None:
        """Keep what a projection found.

        Args:
            job: what was asked for.
            result: what was found.
            index: which image of the result it is.

        Raises:
            InputError: if the crop is missing or damaged.
            OutputError: if it cannot be written.
        """
        photo = self.photo()
        if photo is None:
            raise InputError(
                f"{self.path}: expected {PHOTO_FILE} and {ALIGNED}, found them missing or damaged"
            )
        for name in (METRICS_FILE, DELTA_FILE, TUNED, LATENT_FILE):  # a tuning belongs to one latent
            self._remove(name)
        rendering = np.asarray(to_uint8(jnp.asarray(result.image[index])))
        save_image(rendering, self.path / RECONSTRUCTION)
        save_image(side_by_side(self.crop(), rendering), self.path / COMPARISON)
        steps = int(result.steps[index])
        curves = {name: values[index, :steps] for name, values in result.loss_history.items()}
        write_atomically(self.path / LOSS, draw_losses(curves))
        about = {
            "generator": job.generator_name,
            "projection": job.describe(),
            "steps": steps,
            "is_finite": bool(result.is_finite[index]),
        }
        noise = None if result.noise is None else {name: image[index] for name, image in result.noise.items()}
        quad = np.asarray(photo["quad"], np.float64)
        save_latent_file(self.path / LATENT_FILE, result.w_plus[index], about=about, quad=quad, noise=noise)

    def latent(self, job: ProjectionJob) -> SavedLatent | None:
        """The latent, if the crop has been projected with these settings."""
        try:
            latent = load_latent_file(self.path)
            latent.of(job.generator)
        except InputError:
            return None
        whole = all((self.path / name).is_file() for name in (RECONSTRUCTION, COMPARISON, LOSS))
        return latent if whole and latent.about.get("projection") == job.describe() else None

    def finish(self, job: ProjectionJob, *, progress: bool = True) -> dict[str, Any]:
        """Tune if that is asked for, measure, and write the metrics: the photograph is done.

        Returns:
            The metrics, as the file has them.

        Raises:
            InputError: if there is no projection with these settings.
            OutputError: if a file cannot be written.
            DownloadError: if a network cannot be fetched.
        """
        latent = self.latent(job)
        if latent is None:
            raise InputError(f"{self.path}: expected a projection with these settings, found none")
        crop, shown = self.crop(), load_photo(self.path / RECONSTRUCTION)
        metrics: dict[str, Any] = {
            "projection": job.describe(),
            "generator": job.generator_name,
            "steps": latent.about.get("steps"),
            "is_finite": latent.about.get("is_finite"),
            "metrics": compare(crop, shown),
        }
        if job.tuning is not None:
            delta = tune(job.generator, crop, np.asarray(latent.w[0]), job.tuning, progress=progress)
            rendering = rendered(delta.apply(job.generator), latent.of(job.generator))
            # The delta last, as it is what an edit looks for.
            save_image(side_by_side(crop, shown, rendering), self.path / COMPARISON)
            save_image(rendering, self.path / TUNED)
            delta.save(self.path / DELTA_FILE)
            metrics |= {"tuning": dataclasses.asdict(job.tuning), "tuned_metrics": compare(crop, rendering)}
        self._write_json(METRICS_FILE, metrics)
        return metrics

    def finished(self, job: ProjectionJob) -> dict[str, Any] | None:
        """The metrics, if all that is asked for has been done with these settings; a tuning beyond it does no harm."""
        metrics = self._read_json(METRICS_FILE)
        if metrics is None or not isinstance(metrics.get("metrics"), dict) or self.latent(job) is None:
            return None
        if job.tuning is not None:
            same = metrics.get("tuning") == dataclasses.asdict(job.tuning)
            if not same or not (self.path / DELTA_FILE).is_file() or not (self.path / TUNED).is_file():
                return None
        return metrics if metrics.get("projection") == job.describe() else None

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        write_atomically(self.path / name, (json.dumps(content, indent=1) + "\n").encode())

    def _read_json(self, name: str) -> dict[str, Any] | None:
        try:
            content = json.loads((self.path / name).read_text())
        except (OSError, ValueError):  # absent or damaged: done anew
            return None
        return content if isinstance(content, dict) else None

    def _remove(self, name: str) -> None:
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{self.path / name}: could not remove: {error}") from error


def rendered(generator: Any, w: Any, noise: Any = None) -> UInt8[np.ndarray, "height width 3"]:
    """The image of one latent of W or W+ [1, …], with noise images or the generator's own."""
    return np.asarray(
        to_uint8(generator.synthesis(w) if noise is None else generator.synthesis(w, noise=noise))
    )[0]


def load_delta(latent: SavedLatent) -> GeneratorDelta | None:
    """The tuning that belongs to a latent, if there is one.

    Raises:
        CheckpointError: if its file is damaged.
    """
    return None if latent.delta is None else GeneratorDelta.load(latent.delta)


def side_by_side(*images: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "height width 3"]:
    """Square images in a row, all at the size of the smallest."""
    side = min(len(image) for image in images)
    scaled = [
        image
        if len(image) == side
        else np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS))
        for image in images
    ]
    return np.concatenate(scaled, axis=1)
