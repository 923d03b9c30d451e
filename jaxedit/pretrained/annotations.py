"""Annotations by name, by table or by file, and the rubric for faces."""

from pathlib import Path

from jaxedit.errors import InputError
from jaxedit.labels.annotation_tables import read_table
from jaxedit.labels.annotations import AnnotatedImages, Annotations, load_annotations_file
from jaxedit.labels.rubric import Rubric, load_rubric
from jaxedit.pretrained.known_generators import KNOWN_GENERATORS, data_path
from jaxedit.storage.arrays import read_arrays, write_arrays
from jaxedit.storage.paths import as_path

TABLE_FILE = "table.tsv"
RUBRIC_FILE = "rubric.toml"
IMAGES_FILE = "images.npz"
"""Which images the sheets show, beside the table."""


def load_face_rubric() -> Rubric:
    """The rubric for faces, by which the shipped annotations were read."""
    return load_rubric(data_path("face_rubric.toml"))


def load_annotations(name: str | Path, *, rubric: Rubric | None = None) -> Annotations:
    """Load labels that were read off images by eye.

    The annotations of `mobile-stylegan-ffhq` are twelve columns for the first 6,000 of its shipped labels' latents. A
    vision-language model read them off contact sheets, with the rubric alone; `origin` says how. Four readings of 120
    faces agree on 86 % (fringe) to 100 % (glasses). They say what can be seen in small images, and no more: dark brown
    and black hair, studs, stubble and narrowed eyes are often doubtful.

    Args:
        name: a known generator, whose annotations ship with the package; a table (`.tsv`, `.csv`); a folder of
            `jaxedit annotate sheets`, whose `table.tsv` is read; or an array file of `save_annotations`.
        rubric: the columns of a table; by default `rubric.toml` beside it, or else the rubric for faces.

    Raises:
        InputError: if the name is neither known nor a file, or the table does not fit (see `read_table`).

    Examples:
        >>> import jaxedit
        >>> table = jaxedit.load_annotations("mobile-stylegan-ffhq")
        >>> table.codes.shape, table.rubric.names[:3]
        ((6000, 12), ('glasses', 'facial_hair', 'headwear'))
        >>> table.counts()["headwear"]
        {'no': 5112, 'yes': 888, 'cannot tell': 0, 'not read': 0}
    """
    if str(name) in KNOWN_GENERATORS:
        return load_annotations_file(data_path(KNOWN_GENERATORS[str(name)].annotations))
    path = as_path(name)
    if not path.exists():
        raise InputError(
            f"annotations {str(name)!r}: expected one of {', '.join(KNOWN_GENERATORS)}, a table, or a folder of "
            "`jaxedit annotate sheets`; found nothing"
        )
    path = path / TABLE_FILE if path.is_dir() else path
    if path.suffix == ".npz":
        return load_annotations_file(path)
    if rubric is None:
        beside = path.parent / RUBRIC_FILE
        rubric = load_rubric(beside) if beside.exists() else load_face_rubric()
    images = path.parent / IMAGES_FILE
    return read_table(path, rubric, images=load_images(images) if images.exists() else None)


def save_images(images: AnnotatedImages, path: str | Path) -> Path:
    """Write which images a table is about.

    Raises:
        OutputError: if it cannot be written.
    """
    about = {"generator": images.generator, "seed": images.seed, "truncation_psi": images.truncation_psi}
    arrays = {"keys": images.keys, "w_fingerprint": images.w_fingerprint}
    return write_arrays(path, arrays, about, kind="annotated images")


def load_images(path: str | Path) -> AnnotatedImages:
    """Read a file of `save_images`.

    Raises:
        InputError: if it is missing or damaged.
    """
    expected = "the images of a table of annotations"
    arrays, about = read_arrays(path, kind="annotated images", expected=expected)
    try:
        return AnnotatedImages(**about, keys=arrays["keys"], w_fingerprint=arrays["w_fingerprint"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: expected {expected}, it is damaged: {error!r}") from error
