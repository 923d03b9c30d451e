"""Images of `jaxedit edit` on their way into a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jaxedit.cli.edit_directions import SortedEdits
from jaxedit.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from jax import Array

    from jaxedit.attributes.person.places import Place
    from jaxedit.cli.options import Where
    from jaxedit.generators.protocol import Generator
    from jaxedit.inversion.photograph import Photograph


def chosen_where(where: "Where | None", found: SortedEdits, model: "Generator") -> "Where":
    """Where an edit may change the image, if nobody says.

    Raises:
        InputError: if a place is asked for what has none, or of a generator of other or too small images.
    """
    from jaxedit.attributes.faces.crop import MIN_SIZE
    from jaxedit.attributes.person.places import ATTRIBUTE_PLACES
    from jaxedit.cli.options import Where
    from jaxedit.generators.protocol import check_square_rgb

    others = [*found.along_directions, *found.in_styles]
    if where is None:
        is_known = any(name in ATTRIBUTE_PLACES for name in found.along_axes)
        where = Where.PLACE if is_known and not others and _shows_faces(model) else Where.EVERYWHERE
    if where is Where.PLACE and others:
        raise InputError(f"--where: expected place with attributes of axes, got it with {others[0]!r}")
    if where is not Where.EVERYWHERE:
        check_square_rgb(model, use=f"--where {where}")
        if model.resolution < MIN_SIZE:
            raise InputError(
                f"--where {where}: expected a generator of faces of {MIN_SIZE} pixels a side or more, got one of "
                f"{model.resolution}; --where everywhere changes whole images"
            )
        if found.in_styles:
            first = next(iter(found.in_styles))
            raise InputError(
                f"--where: expected everywhere with edits of StyleSpace, got {where} with {first!r}"
            )
    return where


def where_of_axes(where: "Where | None", names: "Sequence[str]", model: "Generator") -> "Where":
    """Where edits along axes may change the image, if nobody says.

    Raises:
        InputError: if a place is asked for of a generator of other or too small images.
    """
    return chosen_where(where, SortedEdits(dict.fromkeys(names, 1.0), {}, {}, {}, {}, ()), model)


def _shows_faces(model: "Generator") -> bool:
    """Whether images are such as the networks of faces read: square RGB, large enough."""
    from jaxedit.attributes.faces.crop import MIN_SIZE
    from jaxedit.generators.protocol import check_square_rgb

    try:
        check_square_rgb(model, use="edits in places")
    except InputError:
        return False
    return model.resolution >= MIN_SIZE


def draw_edit(
    model: "Generator",
    stages: "Sequence[Array]",
    where: "Sequence[Place | None]",
    noise: "dict[str, Array] | None",
) -> "list[np.ndarray]":
    """The image before and after an edit at its places, 0…255.

    Args:
        model: makes the images.
        stages: latents, the unedited ones first.
        where: the place of each further stage.
        noise: noise images; None for the generator's own.
    """
    import numpy as np

    from jaxedit.attributes.person.places import FacePlaces
    from jaxedit.axes.in_places import draw_in_places
    from jaxedit.images import to_uint8

    drawn = draw_in_places(model, stages, where, FacePlaces.from_pretrained(), noise=noise)
    return [np.asarray(to_uint8(images))[0] for images in drawn]


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
