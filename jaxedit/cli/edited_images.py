"""Images of `jaxedit edit` on their way into a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jaxedit.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from jaxedit.inversion.photograph import Photograph

_FEWEST = 0.01
"""Part of an image that the smallest person fills."""


def with_background_of(original: "np.ndarray", edited: "np.ndarray") -> "np.ndarray":
    """The edited person before the background of the original, 0…255.

    Raises:
        InputError: if the images are not RGB, or no person is found in the original.
    """
    import numpy as np

    from jaxedit.attributes.person.background import keep_background_pixels
    from jaxedit.attributes.person.mask import PersonMask

    if original.ndim != 3 or original.shape[2] != 3:
        raise InputError(f"--keep-background: expected a generator of RGB images, got shape {original.shape}")
    kept, part = keep_background_pixels(PersonMask.from_pretrained(), original[None], edited[None])
    if float(part[0]) < _FEWEST:
        raise InputError(
            "--keep-background: expected a person in the image, found none; edit without this option"
        )
    return np.asarray(kept)[0]


class Cut(NamedTuple):
    """The crop of a face, and its place in the photograph."""

    image: "np.ndarray"
    quad: "np.ndarray"
    """Corners of the crop: top left, bottom left, bottom right, top right."""


def photograph_to_edit(path: Path, out: Path, *, is_checked: bool) -> "Photograph":
    """The photograph. It is checked before minutes are spent that it can be written as `out`, where it will be.

    Raises:
        InputError: if it cannot be read, or `out` is the photograph itself.
        OutputError: if the format of `out` cannot hold it.
    """
    from jaxedit.inversion.photograph import read_photograph

    photograph = read_photograph(path)
    if is_checked:
        photograph.check_output(out)
    return photograph


def paste_and_write(
    photograph: "Photograph",
    quad: "np.ndarray",
    images: "Sequence[np.ndarray]",
    out: Path,
    *,
    compare: bool,
    keep_position: bool = False,
) -> str:
    """Paste the edited face back and write the photograph; says how much of it changed.

    Args:
        photograph: the photograph.
        quad: corners of the crop in it.
        images: the reconstruction and the edited image.
        out: the file.
        compare: write the photograph as it was beside it.
        keep_position: keep the GPS position in the metadata.
    """
    from jaxedit.images import save_image
    from jaxedit.inversion.paste import paste_back

    before = photograph.pixels
    pasted = paste_back(before, quad, images[1], reconstruction=images[0])
    text = pasted.describe(before)
    if compare:
        save_image(in_a_row([before, pasted.pixels]), out)
    else:
        photograph.write(out, pasted.pixels, keep_position=keep_position)
    return text


def in_a_row(images: "list[np.ndarray]") -> "np.ndarray":
    """Images side by side; one alone as it is."""
    if len(images) == 1:
        return images[0]
    from jaxedit.inversion.projection_folder import side_by_side

    return side_by_side(*images)
