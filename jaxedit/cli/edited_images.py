"""Images of `jaxedit edit` on their way into a file."""

from typing import TYPE_CHECKING

from jaxedit.errors import InputError

if TYPE_CHECKING:
    import numpy as np

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


def in_a_row(images: "list[np.ndarray]") -> "np.ndarray":
    """Images side by side; one alone as it is."""
    if len(images) == 1:
        return images[0]
    from jaxedit.inversion.projection_folder import side_by_side

    return side_by_side(*images)
