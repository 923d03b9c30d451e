"""Quality of projections: distance to the original image, and effect and leakage of edits.

    python -m benchmarks.quality.projection_quality --out quality                     # two generated faces, W and W+
    python -m benchmarks.quality.projection_quality --out quality portrait.jpg ...    # and photographs (W+)
    python -m benchmarks.quality.projection_quality --out quality --faces 0 --tune portrait.jpg ...   # tuned too
    python -m benchmarks.quality.projection_quality --out instant --faces 0 --preset instant portrait.jpg ...

Generated faces are projected in W and in W+. Their true latents are known, so edits of the projected latents are
compared with edits of the true ones. The distances are LPIPS (AlexNet, 256²), PSNR, and the distances of two face
descriptors: the one in the projection loss, and an independent one. An edit moves an axis by +1.5 and −1.5. Its effect
is half the difference of the measured attributes, in standard deviations of the labels. Leakage is the mean absolute
effect on seven other attributes divided by the effect on the target. Finished projections are kept in --out.
"""

import dataclasses
import io
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer

from benchmarks.reporting import Rows, check_photographs, finish
from jaxedit.attributes.faces.face_attributes import FaceAttributes
from jaxedit.attributes.independent.classifiers import IndependentIdentity
from jaxedit.axes.leakage import leakage
from jaxedit.evaluation.report.contact_sheet import draw_grid
from jaxedit.generators.protocol import Generator, broadcast_w
from jaxedit.images import save_image, to_uint8
from jaxedit.inversion.align import align
from jaxedit.inversion.config import ProjectionConfig, TuningConfig
from jaxedit.inversion.presets import PRESETS, tuning_of
from jaxedit.inversion.presets import preset as preset_of
from jaxedit.inversion.project import project
from jaxedit.inversion.projection_problem import LatentPrior
from jaxedit.inversion.reconstruction_quality import compare
from jaxedit.inversion.tuning import GeneratorDelta, tune
from jaxedit.latents.seed_stream import sample_z
from jaxedit.nn.resize import shrink
from jaxedit.pretrained.encoders import load_encoder
from jaxedit.pretrained.registry import load_axes, load_generator, load_labelled_latents
from jaxedit.storage.atomic import write_atomically

_NAME = "mobile-stylegan-ffhq"
_TARGETS = ("age", "smile", "yaw")
_MEASURED = ("age", "gender", "smile", "yaw", "pitch", "mouth_opening", "eye_opening")
_AMOUNT = 1.5


class ProjectionMeasurement:
    """Generator, axes and networks of the measurement, and the folder of its results.

    Attributes:
        generator: generator of all images, except those of tuned weights.
        axes: its shipped axes.
        out: folder of latents, tuned weights and contact sheets.
        classifier: attributes of the edits.
        std: standard deviations of the shipped labels, by attribute.
        encoder: its shipped encoder, where the presets instant and quick start.
        independent_identity: face descriptor that is not part of the projection loss.
    """

    def __init__(self, generator: Generator, out: Path) -> None:
        self.generator = generator
        self.axes = load_axes(_NAME)
        self.out = out
        self.classifier = FaceAttributes()
        labels = load_labelled_latents(_NAME, generator)
        self.std = dict(
            zip(labels.attribute_names, np.nanstd(np.asarray(labels.values), 0).tolist(), strict=True)
        )
        self.encoder = load_encoder(_NAME, generator)
        self.independent_identity = IndependentIdentity("mobileface")
        # The modules are arguments, so that tuned weights do not compile anew.
        self.synthesis = jax.jit(lambda generator, w_plus: jnp.clip(generator.synthesis(w_plus), -1, 1))
        self.read = jax.jit(lambda network, images: network(images))

    def edits(self, generator: Generator, w_plus: Any) -> tuple[list[np.ndarray], dict[str, float]]:
        """Images of the edits of each target by −1.5 and +1.5, and effect and leakage of each target."""
        images, row = [], {}
        names = self.classifier.names
        for target in _TARGETS:
            seen = []
            for sign in (-1, 1):
                edited = self.axes.edit(w_plus, {target: sign * _AMOUNT}, pivot=w_plus)
                image = self.synthesis(generator, edited)
                seen.append(np.asarray(self.read(self.classifier, image))[0])
                images.append(np.asarray(image)[0])
            effect = {
                n: float(seen[1][names.index(n)] - seen[0][names.index(n)]) / 2 / self.std[n]
                for n in _MEASURED
            }
            others = np.asarray([effect[name] for name in _MEASURED if name != target])
            row[f"{target} effect"] = effect[target]
            row[f"{target} leakage"] = float(leakage(np.float64(max(abs(effect[target]), 1e-3)), others))
        return images, row

    def row(
        self, name: str, original: np.ndarray, w_plus: Any, generator: Generator | None = None
    ) -> dict[str, Any]:
        """Distances between the original and the image of a latent, and effects of edits. Draws a contact sheet."""
        generator = generator or self.generator
        original = original.astype(np.float32) / 127.5 - 1
        image = np.asarray(self.synthesis(generator, jnp.asarray(w_plus)))[0]
        descriptors = [
            self.read(self.independent_identity, shrink(jnp.asarray(x)[None], 512)) for x in (image, original)
        ]
        row: dict[str, Any] = {"latent": name} | compare(original, image)
        row["identity, independent network"] = float(jnp.linalg.norm(descriptors[0] - descriptors[1]))
        edits, effects = self.edits(generator, w_plus)
        small = [
            np.asarray(to_uint8(shrink(jnp.asarray(x)[None], 256)[0])) for x in (original, image, *edits)
        ]
        captions = ["original", "projection", *[f"{t} {s}{_AMOUNT}" for t in _TARGETS for s in ("−", "+")]]
        sheet = draw_grid(
            np.stack(small).reshape(2, 4, *small[0].shape),
            row_names=["", ""],
            column_heads=[""] * 4,
            title=name,
            captions=[captions[:4], captions[4:]],
        )
        save_image(sheet, self.out / f"{name}.png")
        return row | effects

    def projected(self, name: str, image: np.ndarray, config: ProjectionConfig) -> np.ndarray:
        """The projection of an image, read from the folder if an earlier run finished it."""
        kept = self.out / f"{name}.npy"
        if not kept.exists():
            buffer = io.BytesIO()
            prior = LatentPrior(encoder=self.encoder)
            np.save(buffer, project(self.generator, image, config, prior=prior).w_plus)
            write_atomically(kept, buffer.getvalue())
        return np.load(kept)

    def tuned(self, name: str, image: np.ndarray, w_plus: np.ndarray, config: TuningConfig) -> Generator:
        """The generator tuned to an image, read from the folder if an earlier run finished it."""
        kept = self.out / f"{name}.npz"
        if not kept.exists():
            tune(self.generator, image, w_plus[0], config).save(kept)
        return GeneratorDelta.load(kept).apply(self.generator)


def main(
    photos: Annotated[
        list[Path] | None, typer.Argument(help="photographs; the largest face of each is projected")
    ] = None,
    faces: Annotated[int, typer.Option(help="number of generated faces")] = 2,
    preset: Annotated[str, typer.Option(help="preset of the projection")] = "fast",
    tuning: Annotated[
        bool, typer.Option("--tune/--no-tune", help="also tune the weights to each photograph")
    ] = False,
    truncation_psi: Annotated[float, typer.Option(help="truncation of the generated faces")] = 0.7,
    seed: Annotated[int, typer.Option(help="seed of the generated faces")] = 11,
    out: Annotated[Path, typer.Option(help="folder of latents and contact sheets")] = Path("quality"),
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
) -> None:
    """Measure projections and edits of the projected latents."""
    if preset not in PRESETS or preset == "official":
        raise typer.BadParameter(f"--preset: expected instant, quick, fine, fast or quality, got {preset}")
    if faces < 0 or (not faces and not photos):
        raise typer.BadParameter("expected --faces 1 or more, or photographs")
    check_photographs(photos or [])
    out.mkdir(parents=True, exist_ok=True)
    generator = load_generator(_NAME)
    measurement = ProjectionMeasurement(generator, out)
    config = preset_of(preset, has_encoder=True)
    in_w = dataclasses.replace(config, num_w_steps=config.num_steps)
    rows: Rows = []
    w = generator.mapping(jnp.asarray(sample_z(seed, faces, generator.z_dim)), truncation_psi=truncation_psi)
    for i in range(faces):
        true = broadcast_w(w[i : i + 1], generator.num_ws)
        image = np.asarray(to_uint8(generator.synthesis(true)))[0]
        rows.append({"latent": f"face{i}, true latent"} | measurement.edits(generator, true)[1])
        for name, settings in ((f"face{i}, W", in_w), (f"face{i}, W+", config)):
            rows.append(measurement.row(name, image, measurement.projected(name, image, settings)))
        finish("projection quality", {"faces": rows}, json)
    for photo in photos or []:
        crop = align(photo, largest_only=True)[0].image
        name = f"{photo.stem}, W+"
        w_plus = measurement.projected(name, crop, config)
        rows.append(measurement.row(name, crop, w_plus))
        if (settings := tuning_of(preset, is_asked=tuning)) is not None:
            name = f"{photo.stem}, tuned"
            own = measurement.tuned(name, crop, w_plus, settings)
            rows.append(measurement.row(name, crop, w_plus, own))
        finish("projection quality", {"faces": rows}, json)


if __name__ == "__main__":
    typer.run(main)
