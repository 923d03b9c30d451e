"""Files that a visitor takes home: the face, the whole photograph, the settings."""

import re
from pathlib import Path

from jaxedit.errors import InputError, OutputError
from jaxedit.images import save_image
from jaxedit.inversion.paste import paste_back
from jaxedit.studio.drawing import Drawn
from jaxedit.studio.studio import Session


def save_face(session: Session, drawn: Drawn) -> Path:
    """The edited face as PNG in the visitor's folder.

    Raises:
        OutputError: if it cannot be written.
    """
    return save_image(drawn.edited, session.folder / f"{_safe(session.face.name)}_edited.png")


def save_photograph(session: Session, drawn: Drawn) -> Path:
    """The whole photograph with the edit in it, in its own format where that can be written.

    Raises:
        InputError: if the face is not one of a photograph, or no person is found in it.
        OutputError: if the file cannot be written.
    """
    face = session.face
    if face.photograph is None or face.quad is None:
        raise InputError("photograph: expected a face of a photograph, this one was made by its number")
    photograph = face.photograph
    pasted = paste_back(photograph.pixels, face.quad, drawn.edited, reconstruction=drawn.original)
    name, ending = _safe(photograph.path.stem), photograph.path.suffix.lower()
    for end in dict.fromkeys((ending, ".jpg", ".png")):
        path = session.folder / f"{name}_edited{end}"
        try:
            photograph.check_output(path)
        except OutputError:
            continue
        return photograph.write(path, pasted.pixels)
    return save_image(pasted.pixels, session.folder / f"{name}_edited.png")


def save_settings(session: Session) -> Path:
    """The settings as JSON, which `jaxedit edit --settings` takes.

    Raises:
        OutputError: if it cannot be written.
    """
    return session.settings().save(session.folder / f"{_safe(session.face.name)}_edits.json")


def _safe(name: str) -> str:
    """A name of a file from one that came from outside."""
    return re.sub(r"[^\w\-]+", "_", name)[:60].strip("_") or "face"
