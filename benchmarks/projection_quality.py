"""How near a projection comes, and how well what it finds can be edited.

    python -m benchmarks.projection_quality --out quality                     # two generated faces, W and W+
    python -m benchmarks.projection_quality --out quality portrait.jpg ...    # and photographs (W+)

Generated faces are projected back, in W and in W+; their true latents are known, so edits of what was found stand
beside edits of the truth. Distances are LPIPS (AlexNet, 256²), PSNR, and those of two face descriptors: that which the
projection looks at, and one which it does not. An edit moves an axis by +1.5 and −1.5; its effect is half the
difference of what the face networks read, in standard deviations of the labels; leakage is the mean effect on seven
other attributes divided by that on the target. Each projection is written when it is done, and not done again.
"""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer

from benchmarks.common import Rows, finish
from jaxedit.attributes.face_attributes import FaceAttributes
from jaxedit.attributes.latents import sample_z
from jaxedit.attributes.referees import RefereeIdentity
from jaxedit.evaluation.contact_sheet import draw_grid
from jaxedit.generators.base import broadcast_w
from jaxedit.images import save_image, to_uint8
from jaxedit.pretrained import load_axes, load_generator, load_labelled_latents
from jaxedit.projection.align import align
from jaxedit.projection.config import ProjectionConfig
from jaxedit.projection.metrics import compare
from jaxedit.projection.project import project
from jaxedit.projection.rendering import shrink

_NAME = "mobile-stylegan-ffhq"
_TARGETS = ("age", "smile", "yaw")
_WATCHED = ("age", "gender", "smile", "glasses", "yaw", "pitch", "mouth_opening", "eye_opening")
_AMOUNT = 1.5


def main(
    photos: Annotated[
        list[Path] | None, typer.Argument(help="photographs; the largest face is taken")
    ] = None,
    faces: Annotated[int, typer.Option(help="generated faces")] = 2,
    preset: Annotated[str, typer.Option(help="fast or quality")] = "fast",
    truncation_psi: Annotated[float, typer.Option(help="of the generated faces")] = 0.7,
    seed: Annotated[int, typer.Option(help="of the generated faces")] = 11,
    out: Annotated[Path, typer.Option(help="folder of latents and pictures")] = Path("quality"),
    json: Annotated[Path | None, typer.Option(help="also write the numbers here")] = None,
) -> None:
    """Measure projections and edits of what they find."""
    out.mkdir(parents=True, exist_ok=True)
    generator, axes, classifier = load_generator(_NAME), load_axes(_NAME), FaceAttributes()
    labels = load_labelled_latents(_NAME, generator)
    std = {
        name: float(np.std(np.asarray(labels.values)[:, i])) for i, name in enumerate(labels.attribute_names)
    }
    measure = jax.jit(lambda images: classifier(images))
    other = RefereeIdentity("mobileface")
    descriptor = jax.jit(lambda images: other(images))
    config: ProjectionConfig = getattr(ProjectionConfig, preset)()
    in_w = dataclasses.replace(config, num_w_steps=config.num_steps)

    def read(w_plus: Any) -> dict[str, float]:
        values = np.asarray(measure(jnp.clip(generator.synthesis(w_plus), -1, 1)))[0]
        return {name: float(values[classifier.names.index(name)]) / std[name] for name in _WATCHED}

    def editability(w_plus: Any) -> dict[str, float]:
        row = {}
        for target in _TARGETS:
            up, down = (read(axes.edit(w_plus, {target: sign * _AMOUNT})) for sign in (1, -1))
            effect = {name: (up[name] - down[name]) / 2 for name in _WATCHED}
            others = [abs(effect[name]) for name in _WATCHED if name != target]
            row[f"{target} effect"] = effect[target]
            row[f"{target} leakage"] = float(np.mean(others)) / max(abs(effect[target]), 1e-3)
        return row

    def one(name: str, image: np.ndarray, settings: ProjectionConfig) -> tuple[dict[str, Any], np.ndarray]:
        kept = out / f"{name}.npz"
        if not kept.exists():
            start = time.perf_counter()
            found = project(generator, image, settings)
            np.savez(kept, w_plus=found.w_plus, seconds=time.perf_counter() - start)
        with np.load(kept) as file:
            w_plus, seconds = file["w_plus"], float(file["seconds"])
        picture = np.clip(np.asarray(generator.synthesis(jnp.asarray(w_plus)))[0], -1, 1)
        apart = [
            descriptor(shrink(jnp.asarray(x, jnp.float32)[None], 512)) for x in (picture, as_float(image))
        ]
        row = {"what": name, "seconds": seconds} | compare(image, picture)
        row["identity, other network"] = float(jnp.linalg.norm(apart[0] - apart[1]))
        sheet = [as_float(image), picture]
        for target in _TARGETS:
            for sign in (-1, 1):
                edited = axes.edit(jnp.asarray(w_plus), {target: sign * _AMOUNT})
                sheet.append(np.clip(np.asarray(generator.synthesis(edited))[0], -1, 1))
        small = [np.asarray(to_uint8(shrink(jnp.asarray(x)[None], 256)[0])) for x in sheet]
        captions = ["original", "projection", *[f"{t} {s}{_AMOUNT}" for t in _TARGETS for s in ("−", "+")]]
        grid = np.stack(small).reshape(2, 4, *small[0].shape)
        texts = [captions[:4], captions[4:]]
        sheet_image = draw_grid(grid, row_names=["", ""], column_heads=[""] * 4, title=name, captions=texts)
        save_image(sheet_image, out / f"{name}.png")
        return row | editability(jnp.asarray(w_plus)), w_plus

    def as_float(image: np.ndarray) -> np.ndarray:
        return image.astype(np.float32) / 127.5 - 1 if image.dtype == np.uint8 else image

    rows: Rows = []
    w = generator.mapping(jnp.asarray(sample_z(seed, faces, generator.z_dim)), truncation_psi=truncation_psi)
    for i in range(faces):
        true = broadcast_w(w[i : i + 1], generator.num_ws)
        image = np.asarray(to_uint8(generator.synthesis(true)))[0]
        rows.append({"what": f"face{i}, true latent"} | editability(true))
        for name, settings in ((f"face{i}, W", in_w), (f"face{i}, W+", config)):
            rows.append(one(name, image, settings)[0])
        finish("projection quality", {"faces": rows}, json)
    for photo in photos or []:
        crop = align(photo, largest_only=True)[0].image
        rows.append(one(f"{photo.stem}, W+", crop, config)[0])
        finish("projection quality", {"faces": rows}, json)
    if not rows:
        raise typer.BadParameter("expected --faces 1 or more, or photographs")


if __name__ == "__main__":
    typer.run(main)
