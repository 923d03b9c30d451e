"""Parts of the page as HTML. Images are inside it, so that no file of a visitor lies where another could ask for it."""

import base64
import html
import io
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxedit.studio.sliders import Slider

_TILE_SIDE = 144


def image_address(pixels: UInt8[np.ndarray, "height width 3"], *, quality: int = 88) -> str:
    """An image as an address that holds all of it, as JPEG."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(pixels, quality)).decode()


def jpeg(pixels: UInt8[np.ndarray, "height width channels"], quality: int) -> bytes:
    """An image as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def view(pixels: UInt8[np.ndarray, "height width 3"], description: str, *, quality: int = 88) -> str:
    """The image of a face."""
    return (
        f'<img class="face" src="{image_address(pixels, quality=quality)}" alt="{html.escape(description)}">'
    )


def slider_marks(sliders: Sequence[Slider | None], amounts: Mapping[str, float]) -> str:
    """Where each slider is usable on this face, as a style of the page: parts of its length (see `style.css`)."""
    rules = []
    for place, slider in enumerate(sliders):
        if slider is None:
            continue
        low, high = widened(slider, amounts.get(slider.name, 0.0))
        start, end, zero = (100 * (x - low) / max(high - low, 1e-9) for x in (*slider.marked(), 0.0))
        kind = "" if slider.is_measured else "--usable:var(--unmeasured);"
        rules.append(
            f"#sliders #slider-{place}{{--start:{start:.1f}%;--end:{end:.1f}%;--zero:{zero:.1f}%;{kind}}}"
        )
    return f"<style>{''.join(rules)}</style>"


def visit_mark(visit: str, num_sliders: int) -> str:
    """What the page's script asks for small images with (`previews`)."""
    return f'<span id="visit" hidden data-visit="{html.escape(visit)}" data-sliders="{num_sliders}"></span>'


def widened(slider: Slider, amount: float | int) -> tuple[float | int, float | int]:
    """The least and the largest amount of a slider that stands at some amount."""
    low, high = slider.extent
    return min(low, amount), max(high, amount)


def tiles(images: Mapping[int, UInt8[np.ndarray, "side side 3"]], marks: Mapping[int, bool]) -> str:
    """Faces to mark, by number: a click says yes, another no, a third takes it back."""
    parts = []
    for row, pixels in images.items():
        mark = {True: "yes", False: "no", None: ""}[marks.get(row)]
        small = np.asarray(Image.fromarray(pixels).resize((_TILE_SIDE, _TILE_SIDE), Image.Resampling.BOX))
        parts.append(
            f'<button type="button" class="tile" data-row="{row}" data-mark="{mark}" '
            f'aria-label="face {row}: {mark or "not marked"}">'
            f'<img src="{image_address(small, quality=80)}" alt=""><span></span></button>'
        )
    return f'<div class="tiles">{"".join(parts)}</div>'


def notes(sentences: Sequence[str]) -> str:
    """Sentences, each on a line."""
    return "".join(f"<p class='note'>{html.escape(sentence)}</p>" for sentence in sentences)
