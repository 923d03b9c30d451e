"""The edited faces of a photograph, pasted back into it; what an earlier run has written is left."""

from collections.abc import Sequence
from pathlib import Path

from jaxedit.attributes.person.mask import PersonMask
from jaxedit.errors import InputError, OutputError
from jaxedit.inversion.paste import paste_back
from jaxedit.inversion.photo import Photo, load_photo
from jaxedit.inversion.photograph import Photograph, read_photograph
from jaxedit.inversion.projection_folder import RECONSTRUCTION, PhotoFolder
from jaxedit.inversion.records import read_record, write_record

PASTED_FILE = "pasted.json"
_MIN_SIDE = 32  # of the images of small generators


def paste_faces(
    photo: Path,
    folders: Sequence[PhotoFolder],
    edited_file: str,
    *,
    reconstruction_file: str = RECONSTRUCTION,
    person: PersonMask | None = None,
    keep_position: bool = False,
) -> tuple[Path, float]:
    """Write a photograph with its edited faces, beside the folder of the first one and under its name.

    The file has the format of the photograph; where that cannot be written, it is a PNG.

    Args:
        photo: the photograph.
        folders: of its faces, which hold the edited ones.
        edited_file: name of the edited face in each folder.
        reconstruction_file: name of the unedited face, as the same generator draws it.
        person: finds the person; by default `PersonMask.from_pretrained()`.
        keep_position: whether the GPS position stays in the metadata.

    Returns:
        The file, and the part of the photograph that changed.

    Raises:
        InputError: if the photograph cannot be read, is another one now, or no person is in a crop.
        OutputError: if no format holds it, or the file cannot be written.
    """
    first = folders[0]
    file = Photo(photo)
    for folder in folders:
        if folder.owner()[0] != file.sha256:
            raise InputError(f"{photo}: expected the photograph that was projected, found another one")
    edited = {folder.path.name: Photo(folder.path / edited_file).sha256 for folder in folders}
    request = {"photo": file.sha256, "edited": edited, "keep_position": keep_position}
    if reconstruction_file != RECONSTRUCTION:
        request["reconstruction"] = reconstruction_file
    known = read_record(first.path / PASTED_FILE) or {}
    if known.get("request") == request and isinstance(known.get("changed"), float):
        out = first.path.parent / Path(str(known.get("file"))).name
        if out.is_file():
            return out, known["changed"]
    person = PersonMask.from_pretrained() if person is None else person
    photograph = read_photograph(file)
    out = _output(photograph, first.path)
    pixels = photograph.pixels
    for folder in folders:
        pasted = paste_back(
            pixels,
            folder.place().quad,
            load_photo(folder.path / edited_file, min_side=_MIN_SIDE),
            reconstruction=load_photo(folder.path / reconstruction_file, min_side=_MIN_SIDE),
            person=person,
        )
        pixels = pasted.pixels
    changed = float((pixels != photograph.pixels).any(-1).mean())
    (first.path / PASTED_FILE).unlink(missing_ok=True)
    photograph.write(out, pixels, keep_position=keep_position)
    write_record(first.path / PASTED_FILE, {"request": request, "file": out.name, "changed": changed})
    return out, changed


def _output(photograph: Photograph, folder: Path) -> Path:
    """FOLDER.ENDING, with the photograph's own ending where it can be written so."""
    own, other = (folder.parent / f"{folder.name}{ending}" for ending in (photograph.path.suffix, ".png"))
    try:
        photograph.check_output(own)
    except OutputError:
        photograph.check_output(other)
        return other
    return own


def paths_by_content(photos: Sequence[Path]) -> dict[str, Path]:
    """Hash of the content → photograph; those that cannot be read are left out."""
    found: dict[str, Path] = {}
    for photo in photos:
        try:
            found.setdefault(Photo(photo).sha256, photo)
        except InputError:
            continue
    return found
