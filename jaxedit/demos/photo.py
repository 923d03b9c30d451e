"""The demo with a photograph, scikit-image's astronaut: projected, edited, and shown in one image."""

import importlib
import json
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from jaxedit.errors import InputError
from jaxedit.evaluation.report.contact_sheet import amount_text, attribute_text, draw_grid
from jaxedit.generators.render import render
from jaxedit.images import save_image
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.photo import load_photo
from jaxedit.inversion.project_photos import PhotoProjectionConfig, project_photos
from jaxedit.inversion.projection_folder import METRICS_FILE, RECONSTRUCTION, PhotoFolder, at_side
from jaxedit.inversion.reconstruction_quality import metrics_text
from jaxedit.latents.latent_files import load_latent_file
from jaxedit.pretrained.encoders import load_encoder
from jaxedit.pretrained.registry import load_axes, load_generator
from jaxedit.storage.paths import as_path

EDITS = (
    ("age", -1.5),
    ("age", 2.0),
    ("smile", -2.0),
    ("yaw", -1.0),
    ("gender", -2.0),
    ("hair_lightness", 1.0),
)
"""Attribute and amount in standard deviations of each edit. The edits follow the crop and the reconstruction."""

_COLUMNS = 4
_SIDE = 384


def run_demo_photo(
    out: str | Path,
    *,
    config: ProjectionConfig | None = None,
    generator_name: str = "mobile-stylegan-ffhq",
    progress: bool = True,
) -> Path:
    """Project the astronaut and write `photo.png`: crop, reconstruction, six edits, reconstruction quality.

    The folder `astronaut` beside it holds the projection, which a later run uses again.

    Args:
        out: the folder.
        config: settings of the projection, by default `ProjectionConfig.fast()`.
        generator_name: a known generator.
        progress: whether to show progress bars.

    Returns:
        The path of the image.

    Raises:
        InputError: if scikit-image is not installed.
        DownloadError: if weights cannot be fetched.
        OutputError: if the folder cannot be written.
    """
    out = as_path(out)
    photo = save_image(_astronaut(), out / "astronaut.png")
    generator, axes = load_generator(generator_name), load_axes(generator_name)
    config = config or ProjectionConfig.fast()
    encoder = load_encoder(generator_name, generator) if config.encoder_passes else None
    summary = project_photos(
        [photo],
        out,
        generator,
        PhotoProjectionConfig(config, encoder=encoder),
        generator_name=generator_name,
        progress=progress,
    )
    for problem in summary.failures.values():
        raise InputError(problem)
    (path,) = summary.metrics
    w = load_latent_file(path).of(generator)
    images = [PhotoFolder(path).crop(), load_photo(path / RECONSTRUCTION)]
    captions = ["photograph", "reconstruction"]
    for name, amount in EDITS:
        images.append(render(generator, axes.edit(w, {name: amount}, pivot=w)))
        captions.append(f"{attribute_text(name)} {amount_text(amount)}")
    numbers = json.loads((path / METRICS_FILE).read_text())["metrics"]
    return save_image(_sheet(images, captions, f"One photograph: {metrics_text(numbers)}"), out / "photo.png")


def _astronaut() -> UInt8[np.ndarray, "height width 3"]:
    try:
        data = importlib.import_module("skimage.data")
    except ImportError as error:
        raise InputError(
            "the photograph comes from scikit-image, which is not installed: pip install 'jaxedit[photo]'"
        ) from error
    return np.asarray(data.astronaut())


def _sheet(
    images: list[UInt8[np.ndarray, "_ _ 3"]], captions: list[str], title: str
) -> UInt8[np.ndarray, "height width 3"]:
    small = [at_side(image, _SIDE) for image in images]
    rows = len(small) // _COLUMNS
    return draw_grid(
        np.stack(small).reshape(rows, _COLUMNS, _SIDE, _SIDE, 3),
        row_names=[""] * rows,
        column_heads=[""] * _COLUMNS,
        captions=[captions[row * _COLUMNS : (row + 1) * _COLUMNS] for row in range(rows)],
        title=title,
    )
