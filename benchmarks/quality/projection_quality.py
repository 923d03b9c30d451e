"""How near a projection comes, and how well what it finds can be edited.

    python -m benchmarks.quality.projection_quality --out quality                     # two generated faces, W and W+
    python -m benchmarks.quality.projection_quality --out quality portrait.jpg ...    # and photographs (W+)
    python -m benchmarks.quality.projection_quality --out quality --faces 0 --tune portrait.jpg ...   # tuned too

Generated faces are projected back, in W and in W+; their true latents are known, so edits of what was found stand
beside edits of the truth. Distances are LPIPS (AlexNet, 256²), PSNR, and those of two face descriptors: that which the
projection looks at, and one which it does not. An edit moves an axis by +1.5 and −1.5; its effect is half the
difference of what the face networks read, in standard deviations of the labels; leakage is the mean effect on seven
other attributes divided by that on the target. Each projection is written when it is done, and not done again.
"""

import dataclasses
import io
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer

from benchmarks.reporting import Rows, finish
from jaxedit.attributes.faces.face_attributes import FaceAttributes
from jaxedit.attributes.independent.classifiers import IndependentIdentity
from jaxedit.axes.leakage import leakage
from jaxedit.evaluation.report.contact_sheet import draw_grid
from jaxedit.generators.protocol import Generator, broadcast_w
from jaxedit.images import save_image, to_uint8
from jaxedit.inversion.align import align
from jaxedit.inversion.config import ProjectionConfig, TuningConfig
from jaxedit.inversion.presets import tuning_preset
from jaxedit.inversion.project import project
from jaxedit.inversion.reconstruction_quality import compare
from jaxedit.inversion.tuning import GeneratorDelta, tune
from jaxedit.latents.seed_stream import sample_z
from jaxedit.nn.resize import shrink
from jaxedit.pretrained.registry import load_axes, load_generator, load_labelled_latents
from jaxedit.storage.atomic import write_atomically

_NAME = "mobile-stylegan-ffhq"
_TARGETS = ("age", "smile", "yaw")
_WATCHED = ("age", "gender", "smile", "glasses", "yaw", "pitch", "mouth_opening", "eye_opening")
_AMOUNT = 1.5


class Studio:
    """The networks that look, and what they measure of a projection."""

    def __init__(self, generator: Generator, out: Path) -> None:
        self.generator = generator
        self.axes = load_axes(_NAME)
        self.out = out
        self.classifier = FaceAttributes()
        labels = load_labelled_latents(_NAME, generator)
        self.std = dict(zip(labels.attribute_names, np.asarray(labels.values).std(0).tolist(), strict=True))
        self.other = IndependentIdentity("mobileface")
        # As arguments, so that tuned weights compile nothing anew.
        self.synthesis = jax.jit(lambda generator, w_plus: jnp.clip(generator.synthesis(w_plus), -1, 1))
        self.measure = jax.jit(lambda classifier, images: classifier(images))

    def renderings(self, generator: Generator, w_plus: Any) -> tuple[list[np.ndarray], dict[str, float]]:
        """The edits of each target by −1.5 and +1.5, and what they do to it and to others."""
        images, row = [], {}
        names = self.classifier.names
        for target in _TARGETS:
            seen = []
            for sign in (-1, 1):
                edited = self.axes.edit(w_plus, {target: sign * _AMOUNT}, pivot=w_plus)
                image = self.synthesis(generator, edited)
                seen.append(np.asarray(self.measure(self.classifier, image))[0])
                images.append(np.asarray(image)[0])
            effect = {
                n: float(seen[1][names.index(n)] - seen[0][names.index(n)]) / 2 / self.std[n]
                for n in _WATCHED
            }
            others = np.asarray([effect[name] for name in _WATCHED if name != target])
            row[f"{target} effect"] = effect[target]
            row[f"{target} leakage"] = float(leakage(np.float64(max(abs(effect[target]), 1e-3)), others))
        return images, row

    def row(
        self, name: str, original: np.ndarray, w_plus: Any, generator: Generator | None = None
    ) -> dict[str, Any]:
        """How near the image of a latent comes to the original; a sheet of both and of the edits is drawn."""
        generator = generator or self.generator
        original = original.astype(np.float32) / 127.5 - 1
        image = np.asarray(self.synthesis(generator, jnp.asarray(w_plus)))[0]
        apart = [self.measure(self.other, shrink(jnp.asarray(x)[None], 512)) for x in (image, original)]
        row: dict[str, Any] = {"what": name} | compare(original, image)
        row["identity, other network"] = float(jnp.linalg.norm(apart[0] - apart[1]))
        edits, effects = self.renderings(generator, w_plus)
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
        """The latent of an image, sought if it was not yet."""
        kept = self.out / f"{name}.npy"
        if not kept.exists():
            buffer = io.BytesIO()
            np.save(buffer, project(self.generator, image, config).w_plus)
            write_atomically(kept, buffer.getvalue())
        return np.load(kept)

    def tuned(self, name: str, image: np.ndarray, w_plus: np.ndarray, config: TuningConfig) -> Generator:
        """The generator tuned to an image, if that was not done yet."""
        kept = self.out / f"{name}.npz"
        if not kept.exists():
            tune(self.generator, image, w_plus[0], config).save(kept)
        return GeneratorDelta.load(kept).apply(self.generator)


def main(
    photos: Annotated[
        list[Path] | None, typer.Argument(help="photographs; the largest face is taken")
    ] = None,
    faces: Annotated[int, typer.Option(help="generated faces")] = 2,
    preset: Annotated[str, typer.Option(help="fast or quality")] = "fast",
    tuning: Annotated[
        bool, typer.Option("--tune/--no-tune", help="tune the weights to photographs too")
    ] = False,
    truncation_psi: Annotated[float, typer.Option(help="of the generated faces")] = 0.7,
    seed: Annotated[int, typer.Option(help="of the generated faces")] = 11,
    out: Annotated[Path, typer.Option(help="folder of latents and renderings")] = Path("quality"),
    json: Annotated[Path | None, typer.Option(help="also write the numbers here")] = None,
) -> None:
    """Measure projections and edits of what they find."""
    if preset not in ("fast", "quality"):
        raise typer.BadParameter(f"--preset: expected fast or quality, got {preset}")
    if faces < 0 or (not faces and not photos):
        raise typer.BadParameter("expected --faces 1 or more, or photographs")
    for photo in photos or []:
        if not photo.is_file():
            raise typer.BadParameter(f"expected a photograph, found none at {photo}")
    out.mkdir(parents=True, exist_ok=True)
    generator = load_generator(_NAME)
    studio = Studio(generator, out)
    config: ProjectionConfig = getattr(ProjectionConfig, preset)()
    in_w = dataclasses.replace(config, num_w_steps=config.num_steps)
    rows: Rows = []
    w = generator.mapping(jnp.asarray(sample_z(seed, faces, generator.z_dim)), truncation_psi=truncation_psi)
    for i in range(faces):
        true = broadcast_w(w[i : i + 1], generator.num_ws)
        image = np.asarray(to_uint8(generator.synthesis(true)))[0]
        rows.append({"what": f"face{i}, true latent"} | studio.renderings(generator, true)[1])
        for name, settings in ((f"face{i}, W", in_w), (f"face{i}, W+", config)):
            rows.append(studio.row(name, image, studio.projected(name, image, settings)))
        finish("projection quality", {"faces": rows}, json)
    for photo in photos or []:
        crop = align(photo, largest_only=True)[0].image
        name = f"{photo.stem}, W+"
        w_plus = studio.projected(name, crop, config)
        rows.append(studio.row(name, crop, w_plus))
        if tuning:
            name = f"{photo.stem}, tuned"
            own = studio.tuned(name, crop, w_plus, tuning_preset(preset))
            rows.append(studio.row(name, crop, w_plus, own))
        finish("projection quality", {"faces": rows}, json)


if __name__ == "__main__":
    typer.run(main)
