"""Contact sheets of edited images for a reader who must not know what was edited, or whether anything was.

A classifier that learned from marks of unedited images alone may be fooled as soon as something learns through it.
Marks of edited images, read with the same rubric, tell whether it is, and train the next one. Two folders: the
reader's, as that of other sheets, with each image as a file, too; and the key's, which says what each image shows.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from PIL import Image

from jaxedit.errors import InputError
from jaxedit.evaluation.annotation_sheets import draw_sheets, write_reader_files
from jaxedit.evaluation.blind_answers import is_secret
from jaxedit.evaluation.blind_study import StudyFolders, random_of
from jaxedit.evaluation.in_places import Placing
from jaxedit.evaluation.methods import check_methods
from jaxedit.evaluation.thumbnails import render_thumbnails
from jaxedit.images import save_image
from jaxedit.labels.rubric import Rubric
from jaxedit.latents.seed_stream import sample_z
from jaxedit.storage.runs import RunFolder

IMAGES_FOLDER = "images"
"""The images of the sheets, each in a file, beside the table."""

_KIND = "sheets of edited images"
_KEY_KIND = "key of edited images"
_FILE_SIDE = 512
_CONTROLS = 3
"""Of so many faces of an attribute one is shown unedited, too."""


@dataclasses.dataclass(frozen=True)
class EditedSheetsConfig:
    """Which edited images the sheets show, and how large.

    Attributes:
        attributes: which are moved, each on faces of its own.
        faces: faces of each attribute. Each is shown twice, with +amount and with −amount; every third also unedited.
        amount: in the unit of the method; standard deviations for axes.
        seed: of the faces. The shipped labels have seed 0.
        truncation_psi: of the faces.
        size: width of an image on a sheet, in pixels.
        columns: images in a row.
        rows: rows of a sheet.
        batch_size: images rendered at once.

    Raises:
        InputError: if a number is out of range, or an attribute is missing or comes twice.
    """

    attributes: tuple[str, ...]
    faces: int = 10
    amount: float = 1.5
    seed: int = 1
    truncation_psi: float = 0.7
    size: int = 216
    columns: int = 6
    rows: int = 5
    batch_size: int = 4

    def __post_init__(self) -> None:
        for name, least in {"faces": 1, "size": 16, "columns": 1, "rows": 1, "batch_size": 1}.items():
            if getattr(self, name) < least:
                raise InputError(f"{name}: expected {least} or more, got {getattr(self, name)}")
        if not np.isfinite(self.amount) or self.amount <= 0:
            raise InputError(f"amount: expected a number above 0, got {self.amount}")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed: expected 0…{2**32 - 1}, got {self.seed}")
        if not 0 < self.truncation_psi <= 2:
            raise InputError(f"truncation_psi: expected a number in (0, 2], got {self.truncation_psi}")
        if not self.attributes or len(set(self.attributes)) != len(self.attributes):
            raise InputError(
                f"attributes: expected one or more, each once, got {', '.join(self.attributes) or 'none'}"
            )


class EditedImage(NamedTuple):
    """What an image of the sheets shows.

    Attributes:
        attribute: that was moved.
        amount: by how much; 0 for an unedited image.
        face: number of its latent in the seed's stream.
    """

    attribute: str
    amount: float
    face: int

    @property
    def is_edited(self) -> bool:
        """Whether anything was moved."""
        return self.amount != 0


def write_edited_sheets(
    placing: Placing,
    rubric: Rubric,
    config: EditedSheetsConfig,
    folders: StudyFolders,
    *,
    generator_name: str,
    progress: bool = True,
) -> tuple[EditedImage, ...]:
    """Write sheets, images and an empty table for a reader, and the key apart from them.

    Edited and unedited images stand in one random order, which follows from a secret in the key. Interrupted runs
    resume: images and sheets that are there are not made again, and a table that somebody has begun stays as it is.

    Args:
        placing: the generator and the one method that moves the faces, on whole images or at places.
        rubric: the columns of the table.
        config: which images.
        folders: that of the reader, new or of an earlier run, and that of the key.
        generator_name: name or folder, kept with the images.
        progress: show a progress bar.

    Returns:
        What each image shows, in the order of their numbers.

    Raises:
        InputError: if a folder holds something else, the key of sheets that were begun is missing, the method does not
            belong to the generator or lacks an attribute, or there is not one method.
        OutputError: if a folder cannot be written.
    """
    if len(placing.methods) != 1:
        raise InputError(f"methods: expected one, got {len(placing.methods)}")
    check_methods(placing.generator, placing.methods)
    for attribute in config.attributes:
        if attribute not in (known := placing.methods[0].attribute_names):
            raise InputError(f"attribute {attribute!r}: expected one of {', '.join(known)}")
    secret = folders.secret(_load_secret)
    shown = _in_order(config, secret)
    told = {name: value for name, value in dataclasses.asdict(config).items() if name in _TOLD}
    told |= {"images": len(shown), "columns_read": rubric.describe()}
    RunFolder.check_target(folders.out, kind=_KIND, request=told)
    hidden = {
        "generator": generator_name,
        "secret": secret,
        "method": placing.methods[0].name,
        **_described(config),
    }
    # The key first: without its secret the sheets could not be finished.
    RunFolder.open(folders.key_out, kind=_KEY_KIND, request={**hidden, "images": [list(x) for x in shown]})
    run = RunFolder.open(folders.out, kind=_KIND, request=told)
    folder = run.path / IMAGES_FOLDER

    def small(numbers: Sequence[int], text: str | None) -> np.ndarray:
        _write_images(placing, shown, numbers, config, folder, text if progress else None)
        return np.stack([_smaller(folder / file_of(number), config.size) for number in numbers])

    numbers = range(len(shown))
    draw_sheets(run.path, numbers, config.columns, config.rows, small)
    _write_images(placing, shown, numbers, config, folder, None)  # those that somebody took away
    write_reader_files(run.path, rubric, numbers)
    return shown


_TOLD = ("size", "columns", "rows")
"""What the reader's folder says of the sheets: nothing of edits."""


def file_of(number: int) -> str:
    """Name of the file of an image."""
    return f"{number:04d}.png"


def load_edit_key(folder: str | Path) -> tuple[EditedImage, ...]:
    """What the images of some sheets show, in the order of their numbers.

    Raises:
        InputError: if the folder is none of a key, or damaged.
    """
    found: Any = RunFolder.load(folder, kind=_KEY_KIND).request.get("images")
    try:
        return tuple(
            EditedImage(str(attribute), float(amount), int(face)) for attribute, amount, face in found
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"{folder}: expected the key of edited images, it is damaged: {error!r}") from error


def _described(config: EditedSheetsConfig) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(config).items() if name != "batch_size"}


def _load_secret(folder: str | Path) -> str:
    """The secret of a key.

    Raises:
        InputError: if the folder holds none, or a damaged one.
    """
    found = RunFolder.load(folder, kind=_KEY_KIND).request.get("secret")
    if not is_secret(found):
        raise InputError(f"{folder}: expected the key of edited images, its secret is damaged: {found!r}")
    return str(found)


def _in_order(config: EditedSheetsConfig, secret: str) -> tuple[EditedImage, ...]:
    """All images, in their random order. Each attribute has faces of its own."""
    images = []
    for i, attribute in enumerate(config.attributes):
        for j in range(config.faces):
            face = i * config.faces + j
            amounts = (
                (config.amount, -config.amount) if face % _CONTROLS else (config.amount, -config.amount, 0.0)
            )
            images += [EditedImage(attribute, amount, face) for amount in amounts]
    return tuple(images[i] for i in random_of(secret).permutation(len(images)))


def _write_images(
    placing: Placing,
    shown: Sequence[EditedImage],
    numbers: Sequence[int],
    config: EditedSheetsConfig,
    folder: Path,
    text: str | None,
) -> None:
    """Write the images of some numbers that are not there yet."""
    missing = [number for number in numbers if not (folder / file_of(number)).exists()]
    if not missing:
        return
    w = jnp.concatenate([_moved(placing, shown[number], config) for number in missing])
    side = min(placing.generator.resolution, _FILE_SIDE)
    images = render_thumbnails(placing.generator, w, side, batch_size=config.batch_size, progress=text)
    for number, image in zip(missing, images, strict=True):
        save_image(image, folder / file_of(number))


def _moved(placing: Placing, image: EditedImage, config: EditedSheetsConfig) -> Array:
    """The latent of an image. Unedited ones are moved by 0, so that all are drawn in one way."""
    z = jnp.asarray(sample_z(config.seed, 1, placing.generator.z_dim, start=image.face))
    w = placing.generator.mapping(z, truncation_psi=config.truncation_psi)
    return jnp.asarray(placing.methods[0].edit(w, image.attribute, jnp.asarray([image.amount], jnp.float32)))


def _smaller(path: Path, size: int) -> np.ndarray:
    """An image of a file for a sheet."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
