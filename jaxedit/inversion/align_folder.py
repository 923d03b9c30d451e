"""Many photographs to a folder of FFHQ crops. Interrupted runs resume."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from jaxedit.errors import InputError, OutputError
from jaxedit.images import save_image
from jaxedit.inversion.align import AlignedFace, FaceChoice, align
from jaxedit.inversion.ffhq_crop import check_size
from jaxedit.inversion.photo import Photo, list_photos
from jaxedit.inversion.records import read_record, write_record
from jaxedit.storage.paths import as_path

_EARLIER_OPTIONS = {"face": None, "thorough": False}
"""Of records of earlier versions."""


@dataclasses.dataclass(frozen=True)
class AlignmentSummary:
    """Result of `align_photos`.

    Attributes:
        crops: files of the crops, of this run and of earlier ones.
        failures: photograph → why it gave no crop.
    """

    crops: tuple[Path, ...]
    failures: dict[Path, str]


def find_photos(paths: Sequence[str | Path]) -> list[Path]:
    """List photographs to align: files as they are, folders as the images directly in them, sorted by name.

    Raises:
        InputError: if a path does not exist or a folder holds no images, or if the crops of two photographs would have
            the same name because their names differ only in folder or ending.
    """
    photos = list_photos(paths)
    for photo in photos:
        if not photo.exists():
            raise InputError(f"{photo}: expected an image or a folder of images, found nothing")
    names: dict[str, Path] = {}
    for photo in photos:
        other = names.setdefault(photo.stem.casefold(), photo)
        if other is not photo:
            raise InputError(
                f"{photo}: its crops would have the same name as those of {other}; align it alone"
            )
    return photos


def align_photos(
    photos: Sequence[Path],
    out: str | Path,
    *,
    size: int = 1024,
    largest_only: bool = False,
    face: FaceChoice | None = None,
    thorough: bool = False,
    progress: bool = True,
) -> AlignmentSummary:
    """Write the FFHQ crops of photographs.

    The largest face of `NAME.jpg` becomes `NAME.png`, the others `NAME_2.png`, …. `NAME.json` is written last; it lists
    file, score, box, landmarks and quad (corners of the crop in the photograph) of each face. A photograph whose
    `NAME.json` and crops exist is skipped, unless the photograph or the options have changed. A photograph that cannot
    be read or shows no face does not stop the others.

    Args:
        photos: from `find_photos`.
        out: the folder, new or of an earlier run.
        size: pixels a side of the crops, 64 … 4096.
        largest_only: crop the largest face of each photograph alone.
        face: crop one face of each photograph alone, as `align` chooses it.
        thorough: as for `align`.
        progress: whether to show a progress bar.

    Raises:
        InputError: if the size is out of range, or `out` is the folder of a photograph.
        OutputError: if the folder cannot be written.
        DownloadError: if the face networks cannot be fetched.
    """
    out = as_path(out)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: expected a folder, found a file")
    check_size(size)
    if any(photo.resolve().parent == out.resolve() for photo in photos):
        raise InputError(
            f"{out}: expected another folder than that of the photos, which crops could overwrite"
        )
    names = {photo.stem.casefold() for photo in photos}
    crops: list[Path] = []
    failures: dict[Path, str] = {}
    place = list(face) if isinstance(face, tuple) else face
    options = {"size": size, "largest_only": largest_only, "face": place, "thorough": thorough}
    for path in tqdm(photos, desc="aligning", unit="photo", disable=not progress, file=sys.stderr):
        photo = Photo(path)
        try:
            request = {"photo": path.name, "sha256": photo.sha256, **options}
            finished = _finished(out, path, request)
            crops += _align_one(photo, out, request, names) if finished is None else finished
        except InputError as error:
            failures[path] = str(error)
    return AlignmentSummary(tuple(crops), failures)


def _finished(out: Path, photo: Path, request: dict[str, Any]) -> list[Path] | None:
    """The crops of a photograph, if an earlier run has finished it."""
    record = read_record(out / f"{photo.stem}.json") or {}
    try:
        files = [out / Path(face["file"]).name for face in record["faces"]]
        same = all({**_EARLIER_OPTIONS, **record}[key] == value for key, value in request.items())
    except (KeyError, TypeError):  # absent or damaged: aligned again
        return None
    return files if same and all(file.is_file() for file in files) else None


def _align_one(photo: Photo, out: Path, request: dict[str, Any], names: set[str]) -> list[Path]:
    face = tuple(request["face"]) if isinstance(request["face"], list) else request["face"]
    faces = align(
        photo, request["size"], largest_only=request["largest_only"], face=face, thorough=request["thorough"]
    )
    stem = photo.path.stem
    files = [f"{stem}.png"]
    number = 2
    while len(files) < len(faces):
        if f"{stem}_{number}".casefold() not in names:  # another photograph's name stays free
            files.append(f"{stem}_{number}.png")
        number += 1
    for face, file in zip(faces, files, strict=True):
        save_image(face.image, out / file)
    record = {**request, "faces": [_described(face, file) for face, file in zip(faces, files, strict=True)]}
    write_record(out / f"{stem}.json", record)
    return [out / file for file in files]


def _described(face: AlignedFace, file: str) -> dict[str, Any]:
    return {
        "file": file,
        "score": round(face.score, 4),
        "box": [round(x, 2) for x in face.box],
        "quad": face.quad.round(3).tolist(),
        "landmarks": face.landmarks.round(2).tolist(),
    }
