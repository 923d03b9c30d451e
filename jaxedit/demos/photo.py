"""The demo with a photograph, scikit-image's astronaut: projected, edited, pasted back, and shown in one image."""

import importlib
import json
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tqdm.auto import tqdm

from jaxedit.attributes.person.mask import PersonMask
from jaxedit.attributes.person.places import FacePlaces
from jaxedit.axes.in_places import draw_in_places, stages_of
from jaxedit.errors import InputError
from jaxedit.evaluation.report.contact_sheet import amount_text, attribute_text, draw_grid
from jaxedit.images import save_image, to_uint8
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.paste import paste_back
from jaxedit.inversion.photo import load_photo
from jaxedit.inversion.project_photos import PhotoProjectionConfig, project_photos
from jaxedit.inversion.projection_folder import METRICS_FILE, RECONSTRUCTION, PhotoFolder, at_side
from jaxedit.inversion.reconstruction_quality import metrics_text
from jaxedit.latents.latent_files import load_latent_file
from jaxedit.pretrained.encoders import load_encoder
from jaxedit.pretrained.registry import load_axes, load_generator
from jaxedit.storage.paths import as_path

EDITS = (("smile", -2.0), ("age", 1.5), ("eyeglasses", 1.5), ("hair_lightness", 1.0))
"""Attribute and amount in standard deviations of each edit."""

_SIDE = 384


def run_demo_photo(
    out: str | Path,
    *,
    config: ProjectionConfig | None = None,
    generator_name: str = "mobile-stylegan-ffhq",
    progress: bool = True,
) -> Path:
    """Project the astronaut and write `photo.png`: the photograph, its reconstruction, and edits.

    Four edits of the face stand over the photograph with each of them in it.

    The folder `astronaut` beside it holds the projection, which a later run uses again.

    Args:
        out: the folder.
        config: settings of the projection, by default `ProjectionConfig.quick()`.
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
    astronaut = _astronaut()
    photo = save_image(astronaut, out / "astronaut.png")
    generator, axes = load_generator(generator_name), load_axes(generator_name)
    config = config or ProjectionConfig.quick()
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
    folder, saved = PhotoFolder(path), load_latent_file(path)
    reconstruction = load_photo(path / RECONSTRUCTION)
    above, below = [astronaut], [reconstruction]
    places, person = FacePlaces.from_pretrained(), PersonMask.from_pretrained()
    w, noise = saved.of(generator), saved.noise_of(generator)
    for name, amount in tqdm(EDITS, desc="editing", unit="edit", disable=not progress):
        stages, where = stages_of(axes, w, {name: amount}, pivot=w)
        drawn = draw_in_places(generator, stages, where, places, noise=noise)
        edited = np.asarray(to_uint8(drawn.edited))[0]
        pasted = paste_back(
            astronaut, folder.place().quad, edited, reconstruction=reconstruction, person=person
        )
        above.append(edited)
        below.append(pasted.pixels)
    numbers = json.loads((path / METRICS_FILE).read_text())["metrics"]
    return save_image(_sheet(above, below, f"One photograph: {metrics_text(numbers)}"), out / "photo.png")


def _astronaut() -> UInt8[np.ndarray, "height width 3"]:
    try:
        data = importlib.import_module("skimage.data")
    except ImportError as error:
        raise InputError(
            "the photograph comes from scikit-image, which is not installed: pip install 'jaxedit[photo]'"
        ) from error
    return np.asarray(data.astronaut())


def _sheet(
    above: list[UInt8[np.ndarray, "_ _ 3"]], below: list[UInt8[np.ndarray, "_ _ 3"]], title: str
) -> UInt8[np.ndarray, "height width 3"]:
    """The photograph over its reconstruction, and each edited face over the photograph with it."""
    small = [at_side(image, _SIDE) for image in (*above, *below)]
    edits = [f"{attribute_text(name)} {amount_text(amount)}" for name, amount in EDITS]
    return draw_grid(
        np.stack(small).reshape(2, len(above), _SIDE, _SIDE, 3),
        row_names=[""] * 2,
        column_heads=[""] * len(above),
        captions=[["photograph", *edits], ["reconstruction", *["in the photograph"] * len(EDITS)]],
        title=title,
    )
