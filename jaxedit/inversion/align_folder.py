"""Many photographs to a folder of FFHQ crops; a run that was stopped goes on where it was."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from jaxedit.errors import InputError, OutputError
from jaxedit.images import save_image
from jaxedit.inversion.align import AlignedFace, align
from jaxedit.inversion.ffhq_crop import check_size
from jaxedit.inversion.photo import list_photos, photo_hash
from jaxedit.storage.atomic import write_atomically


@dataclasses.dataclass(frozen=True)
class AlignmentSummary:
    """What came of it.

    Attributes:
        crops: the images of all photographs that went well, made now or before.
        failures: photograph → what was wrong with it.
    """

    crops: tuple[Path, ...]
    failures: dict[Path, str]


def find_photos(paths: Sequence[str | Path]) -> list[Path]:
    """The photographs that are meant: files as they are, folders as all images directly in them, by name.

    Raises:
        InputError: if a folder holds no images, nothing is there, or two photographs have the same name but for
            folder and ending (their crops would have the same name).
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
    progress: bool = True,
) -> AlignmentSummary:
    """Write the FFHQ crops of photographs.

    Of `NAME.jpg` the largest face becomes `NAME.png`, further ones `NAME_2.png`, …; `NAME.json` is written when they
    are there and says of each its file, score, box, landmarks and quad (the crop's corners in the photograph). A
    photograph whose `NAME.json` and crops are there is not done again, unless it or the options have changed. One
    that cannot be read, or that shows no face, stops no other.

    Args:
        photos: as `find_photos` gives them.
        out: the folder, new or to go on with.
        size: pixels a side of the crops, 64 … 4096.
        largest_only: only the largest face of each.
        progress: show a progress bar.

    Raises:
        InputError: if the size is impossible, or the folder is that of a photograph.
        OutputError: if the folder cannot be written.
        DownloadError: if the networks cannot be fetched.
    """
    out = Path(out)
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
    for photo in tqdm(photos, desc="aligning", unit="photo", disable=not progress, file=sys.stderr):
        try:
            job = {
                "photo": photo.name,
                "sha256": photo_hash(photo),
                "size": size,
                "largest_only": largest_only,
            }
            finished = _finished(out, photo, job)
            crops += _align_one(photo, out, job, names) if finished is None else finished
        except InputError as error:
            failures[photo] = str(error)
    return AlignmentSummary(tuple(crops), failures)


def _finished(out: Path, photo: Path, job: dict[str, Any]) -> list[Path] | None:
    """The crops of a photograph that an earlier run has done."""
    try:
        record = json.loads((out / f"{photo.stem}.json").read_text())
        files = [out / Path(face["file"]).name for face in record["faces"]]
        same = all(record[key] == value for key, value in job.items())
    except (OSError, ValueError, KeyError, TypeError):  # absent or damaged: done anew
        return None
    return files if same and all(file.is_file() for file in files) else None


def _align_one(photo: Path, out: Path, job: dict[str, Any], names: set[str]) -> list[Path]:
    faces = align(photo, job["size"], largest_only=job["largest_only"])
    files = [f"{photo.stem}.png"]
    number = 2
    while len(files) < len(faces):
        if f"{photo.stem}_{number}".casefold() not in names:  # it is not another photograph's name
            files.append(f"{photo.stem}_{number}.png")
        number += 1
    for face, file in zip(faces, files, strict=True):
        save_image(face.image, out / file)
    record = {**job, "faces": [_described(face, file) for face, file in zip(faces, files, strict=True)]}
    write_atomically(out / f"{photo.stem}.json", (json.dumps(record, indent=1) + "\n").encode())
    return [out / file for file in files]


def _described(face: AlignedFace, file: str) -> dict[str, Any]:
    return {
        "file": file,
        "score": round(face.score, 4),
        "box": [round(x, 2) for x in face.box],
        "quad": face.quad.round(3).tolist(),
        "landmarks": face.landmarks.round(2).tolist(),
    }
