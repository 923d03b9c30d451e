"""Sheets for a reader: images in rows and columns, each with a text above its top left corner."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from jaxedit.errors import InputError
from jaxedit.evaluation.report.contact_sheet import sheet_font

_INK, _PAPER = (28, 32, 38), (255, 255, 255)
_GAP = 14


def draw_numbered_sheet(
    images: UInt8[np.ndarray, "num_images height width 3"], texts: Sequence[str], *, columns: int
) -> UInt8[np.ndarray, "sheet_height sheet_width 3"]:
    """Draw a sheet. The text is black on white, so that it cannot be taken for a part of an image.

    Raises:
        InputError: if there is not one text for each image, or no image.
    """
    if not len(images) or len(images) != len(texts):
        raise InputError(f"texts: expected one for each of {len(images)} images, got {len(texts)}")
    count, height, width, _ = images.shape
    columns = min(columns, count)
    letters = sheet_font(max(width / 12, 16.0))
    head = int(letters.size * 1.4)
    rows = -(-count // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + head + _GAP) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (image, text) in enumerate(zip(images, texts, strict=True)):
        x = _GAP + i % columns * (width + _GAP)
        y = _GAP + i // columns * (height + head + _GAP)
        draw.text((x, y + head / 2), text, _INK, letters, anchor="lm")
        sheet.paste(Image.fromarray(image), (x, y + head))
    return np.asarray(sheet)
