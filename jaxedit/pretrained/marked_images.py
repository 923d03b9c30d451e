"""Marked image files by the folder or the table of their marks."""

from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from jaxedit.errors import InputError
from jaxedit.evaluation.edited_sheets import IMAGES_FOLDER, file_of, load_edit_key
from jaxedit.inversion.photo import load_photo
from jaxedit.labels.annotations import FILE
from jaxedit.labels.marked_images import MarkedImages
from jaxedit.labels.rubric import Rubric
from jaxedit.pretrained.annotations import load_annotations
from jaxedit.storage.paths import as_path


def load_marked_images(
    name: str | Path, *, rubric: Rubric | None = None, key: str | Path | None = None, side: int = 256
) -> MarkedImages:
    """Load image files that somebody marked: edited faces, photographs.

    Args:
        name: a folder of `jaxedit annotate edited` whose table was filled in; or a table (`.tsv`, `.csv`) whose first
            column is `file`, the name of a square image beside it, or in a folder `images` beside it.
        rubric: as for `load_annotations`.
        key: folder of the key of edited faces, which says what each shows. Default: NAME-key, where there is one;
            without a key all images are of one kind, "file", and each counts as another face.
        side: pixels a side that the images are brought to.

    Raises:
        InputError: if the table does not fit (see `read_table`), nothing was filled in, an image is missing, damaged or
            not square, or the key is of other images.
    """
    path = as_path(name)
    table = load_annotations(path, rubric=rubric)
    folder = path if path.is_dir() else path.parent
    if table.images is not None or table.key not in ("index", FILE):
        raise InputError(
            f"{path}: expected marks of image files, found those of latents: a folder of `jaxedit annotate edited`, or "
            f"a table whose first column is {FILE}"
        )
    is_read = (table.codes >= 0).any(1)
    if not is_read.any():
        raise InputError(f"{path}: expected a row with a value, got none: the table has not been filled in")
    keys = table.keys[is_read].tolist()
    kinds, groups = ("file",) * len(keys), np.arange(len(keys))
    beside = folder.with_name(f"{folder.resolve().name}-key") if key is None else as_path(key)
    if table.key != FILE and (key is not None or beside.exists()):
        kinds, groups = _of_key(beside, keys)
    images = np.empty((len(keys), side, side, 3), np.uint8)
    for row, own in enumerate(keys):
        images[row] = _square(_image_file(folder, own, path), side)
    return MarkedImages(
        images,
        table.values()[is_read],
        table.attribute_names,
        table.attribute_units,
        tuple(map(str, keys)),
        kinds,
        groups,
    )


def _of_key(folder: Path, keys: list[int]) -> tuple[tuple[str, ...], Int[np.ndarray, " num_images"]]:
    """Kind and face of each image."""
    shown = load_edit_key(folder)
    if max(keys) >= len(shown):
        raise InputError(f"{folder}: expected the key of image {max(keys)}, found one of {len(shown)} images")
    found = [shown[own] for own in keys]
    return tuple("edited" if x.is_edited else "unedited" for x in found), np.array([x.face for x in found])


def _image_file(folder: Path, own: int | str, table: Path) -> Path:
    file = file_of(own) if isinstance(own, int) else own
    for path in (folder / IMAGES_FOLDER / file, folder / file):
        if path.exists():
            return path
    raise InputError(f"{folder / file}: expected an image, which {table} names, found nothing")


def _square(path: Path, side: int) -> UInt8[np.ndarray, "side side 3"]:
    pixels = load_photo(path, min_side=1)
    if pixels.shape[0] != pixels.shape[1]:
        raise InputError(
            f"{path}: expected a square image, as the classifier reads, got {pixels.shape[1]} × {pixels.shape[0]}; "
            "`jaxedit align` cuts faces out of photographs"
        )
    image = Image.fromarray(pixels)
    # The filter is antialiased, as that of the classifier.
    return np.asarray(
        image if pixels.shape[0] == side else image.resize((side, side), Image.Resampling.BILINEAR)
    )
