"""Contact sheets: one face, a row for each attribute, a column for each step along its axis."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import matplotlib
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.errors import InputError
from jaxedit.evaluation.thumbnails import render_thumbnails
from jaxedit.generators.protocol import Generator

STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Standard deviations by which the columns of a sheet move an axis."""

_INK = (28, 32, 38)
_GRAY = (110, 117, 126)
_PAPER = (255, 255, 255)
_MARGIN = 24
_GAP = 6

_UNIT_ENDINGS = {"years": " years", "degrees": "°", "% of eyes": " %"}
"""Units as they are written after a value. Other units (logits, Lab) mean nothing to a viewer."""


@dataclasses.dataclass(frozen=True)
class EditSteps:
    """Images of one face, edited step by step along each axis.

    Attributes:
        attribute_names: attributes of the rows.
        amounts: amounts of the columns, in standard deviations.
        images: thumbnails.
        captions: text below each image: the attribute's value in its own unit, or nothing.
    """

    attribute_names: tuple[str, ...]
    amounts: tuple[float, ...]
    images: UInt8[np.ndarray, "num_attributes num_amounts size size 3"]
    captions: tuple[tuple[str, ...], ...]


def render_edit_steps(
    generator: Generator,
    axes: AttributeAxes,
    w: Float[Array | np.ndarray, "..."],
    *,
    attribute_names: Sequence[str] | None = None,
    amounts: Sequence[float] = STEPS,
    size: int = 192,
    batch_size: int = 4,
    progress: str | None = None,
) -> EditSteps:
    """Edit one latent along each axis and render it.

    Args:
        generator: makes the images.
        axes: the axes.
        w: the latent of the face, [w_dim].
        attribute_names: the rows, by default all attributes.
        amounts: the columns, in standard deviations relative to the face. A column of 0 is rendered once.
        size: height and width of the thumbnails.
        batch_size: images that are made at once.
        progress: text of the progress bar; None for no bar.

    Raises:
        InputError: if an attribute is not known, or w does not fit.
    """
    names = tuple(axes.attribute_names if attribute_names is None else attribute_names)
    if w.ndim != 1:
        raise InputError(f"w: expected one latent, [w_dim], got shape {list(w.shape)}")
    original = axes.edit(jnp.asarray(w, jnp.float32)[None], {})  # in the space of the edits, W or W+
    moves = [(row, column) for row in range(len(names)) for column, a in enumerate(amounts) if a != 0]
    edited = [axes.edit(original, {names[row]: amounts[column]}) for row, column in moves]
    latents = jnp.concatenate([original, *edited])
    thumbnails = render_thumbnails(generator, latents, size, batch_size=batch_size, progress=progress)
    values = np.asarray(axes.read(latents))

    where = dict(zip(moves, range(1, len(latents)), strict=True))
    index = [[where.get((row, column), 0) for column in range(len(amounts))] for row in range(len(names))]
    columns = [axes.attribute_names.index(name) for name in names]
    captions = tuple(
        tuple(value_text(float(values[i, column]), axes.attribute_units[column]) for i in row)
        for row, column in zip(index, columns, strict=True)
    )
    return EditSteps(names, tuple(amounts), thumbnails[np.asarray(index)], captions)


def value_text(value: float, unit: str) -> str:
    """A value with its unit ("34 years", "−12°"), or nothing where the unit means nothing to a viewer."""
    if unit not in _UNIT_ENDINGS:
        return ""
    text = f"{round(value)}{_UNIT_ENDINGS[unit]}".replace("-", "−")
    return "1 year" if text == "1 years" else text


def amount_text(amount: float) -> str:
    """An amount as a column head: "−2 σ", "original", "+1 σ"."""
    return "original" if amount == 0 else f"{amount:+g} σ".replace("-", "−")


def attribute_text(name: str) -> str:
    """An attribute's name as a label."""
    return name.replace("_", " ")


def draw_contact_sheet(steps: EditSteps, *, title: str) -> UInt8[np.ndarray, "height width 3"]:
    """The sheet of one face. Save it as `.jpg`: a sheet of 25 attributes has 5 million pixels."""
    return draw_grid(
        steps.images,
        row_names=[attribute_text(name) for name in steps.attribute_names],
        column_heads=[amount_text(amount) for amount in steps.amounts],
        captions=steps.captions,
        title=title,
    )


def draw_grid(
    images: UInt8[np.ndarray, "rows columns height width 3"],
    *,
    row_names: Sequence[str],
    column_heads: Sequence[str],
    title: str = "",
    captions: Sequence[Sequence[str]] | None = None,
) -> UInt8[np.ndarray, "sheet_height sheet_width 3"]:
    """Images in rows and columns, with names of rows, heads of columns and captions below the images.

    Raises:
        InputError: if the numbers of names, heads or captions are not those of the images.
    """
    rows, columns, height, width, _ = images.shape
    captions = captions if captions is not None else [[""] * columns] * rows
    if (len(row_names), len(column_heads)) != (rows, columns) or [len(r) for r in captions] != [
        columns
    ] * rows:
        raise InputError(f"row_names, column_heads, captions: expected {rows} rows and {columns} columns")
    # Text grows with the images, so that it stays legible when the sheet is shown smaller.
    title_font, font, small = (sheet_font(max(size, least)) for size, least in _font_sizes(width))
    name_width = int(max((font.getlength(name) for name in row_names), default=0)) + _MARGIN
    title_height, head_height = int(title_font.size * 1.9) if title else 0, int(font.size * 1.9)
    caption_heights = [int(small.size * 1.7) if any(row) else 0 for row in captions]

    left, top = _MARGIN + name_width, _MARGIN + title_height + head_height
    grid_width = columns * (width + _GAP) - _GAP
    sheet_width = max(left + grid_width, _MARGIN + int(title_font.getlength(title))) + _MARGIN
    sheet_height = top + sum(height + _GAP + caption for caption in caption_heights) - _GAP + _MARGIN
    sheet = Image.new("RGB", (sheet_width, sheet_height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), title, _INK, title_font)
    for column, head in enumerate(column_heads):
        x = left + column * (width + _GAP) + width / 2
        draw.text((x, top - head_height / 2), head, _GRAY, font, anchor="mm")
    y = top
    for row, caption_height in enumerate(caption_heights):
        draw.text((left - _MARGIN / 2, y + height / 2), row_names[row], _INK, font, anchor="rm")
        for column in range(columns):
            x = left + column * (width + _GAP)
            sheet.paste(Image.fromarray(images[row, column]), (x, y))
            if captions[row][column]:
                position = (x + width / 2, y + height + caption_height / 2)
                draw.text(position, captions[row][column], _GRAY, small, anchor="mm")
        y += height + caption_height + _GAP
    return np.asarray(sheet)


def sheet_font(size: float) -> ImageFont.FreeTypeFont:
    """The font of sheets, Matplotlib's own: unlike Pillow's it has σ and the minus sign."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _font_sizes(width: int) -> tuple[tuple[float, float], ...]:
    """Sizes of title, names and captions for images of this width, each with its smallest legible size."""
    return (width / 7, 20.0), (width / 9, 14.0), (width / 12, 12.0)
