import numpy as np
import pytest
from PIL import Image

from jaxedit.errors import InputError, OutputError
from jaxedit.evaluation.report.contact_sheet import (
    amount_text,
    draw_contact_sheet,
    draw_grid,
    render_edit_steps,
    value_text,
)
from jaxedit.images import save_image


@pytest.fixture(scope="module")
def steps(toy, toy_axes, toy_w):
    return render_edit_steps(toy, toy_axes, 0.1 * toy_w[0], size=32, batch_size=3)


def test_each_row_changes_its_own_channel_step_by_step(steps):
    assert steps.attribute_names == ("red", "green", "blue")
    assert steps.images.shape == (3, 5, 32, 32, 3)
    colors = steps.images[:, :, 16, 16].astype(int)
    for row in range(3):
        own = colors[row, :, row]
        assert (np.diff(own) > 8).all()  # a standard deviation is a tenth of ±1: 13 of 255
        others = np.delete(colors[row], row, axis=1)
        assert (np.ptp(others, axis=0) <= 3).all()


def test_the_middle_column_is_the_original(steps, toy, toy_w):
    middle = steps.images[:, steps.amounts.index(0.0)]
    np.testing.assert_array_equal(middle, np.broadcast_to(middle[:1], middle.shape))
    assert abs(int(middle[0, 0, 0, 0]) - round(float(0.01 * toy_w[0, 0]) * 127.5 + 127.5)) <= 1


def test_captions_are_drawn_where_there_is_a_unit(steps):
    years, degrees, logits = steps.captions
    assert all(" year" in text for text in years)
    assert all(text.endswith("°") for text in degrees)
    assert logits == ("",) * 5


def test_chosen_rows_and_columns(toy, toy_axes, toy_w):
    chosen = render_edit_steps(toy, toy_axes, toy_w[1], attribute_names=["blue"], amounts=(-1.0, 3.0), size=8)
    assert chosen.images.shape == (1, 2, 8, 8, 3)
    assert chosen.amounts == (-1.0, 3.0)


def test_unknown_attribute_names_the_known_ones(toy, toy_axes, toy_w):
    with pytest.raises(InputError, match=r"hue.*red, green, blue"):
        render_edit_steps(toy, toy_axes, toy_w[0], attribute_names=["hue"])


def test_more_than_one_latent_is_refused(toy, toy_axes, toy_w):
    with pytest.raises(InputError, match="one latent"):
        render_edit_steps(toy, toy_axes, toy_w)


def test_the_sheet_holds_every_image_whole(steps):
    sheet = draw_contact_sheet(steps, title="A face")
    assert sheet.dtype == np.uint8
    for row in steps.images:
        for image in row:
            color = image[0, 0]
            same = (sheet == color).all(-1)
            assert same.sum() >= image.shape[0] * image.shape[1]
    margin = np.concatenate(
        [sheet[:8].ravel(), sheet[-8:].ravel(), sheet[:, :8].ravel(), sheet[:, -8:].ravel()]
    )
    assert (margin == 255).all()


def test_a_long_title_is_not_clipped(steps):
    short, long = (draw_contact_sheet(steps, title=title) for title in ("x", "a very long title " * 10))
    assert long.shape[1] > short.shape[1]
    assert (long[:, -8:] == 255).all()


def test_heads_must_fit_the_images():
    images = np.zeros((2, 3, 8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="2 rows and 3 columns"):
        draw_grid(images, row_names=["a", "b"], column_heads=["x"])


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (34.4, "years", "34 years"),
        (1.2, "years", "1 year"),
        (-12.0, "degrees", "−12°"),
        (-0.2, "degrees", "0°"),
        (3.0, "logit", ""),
    ],
)
def test_values_as_text(value, unit, text):
    assert value_text(value, unit) == text


def test_amounts_as_text():
    assert [amount_text(a) for a in (-2.0, 0.0, 0.5)] == ["−2 σ", "original", "+0.5 σ"]


def test_saved_sheets_open_again(steps, tmp_path):
    sheet = draw_contact_sheet(steps, title="A face")
    path = save_image(sheet, tmp_path / "sheet.jpg")
    with Image.open(path) as image:
        assert image.size == sheet.shape[1::-1]
    with pytest.raises(OutputError):
        save_image(sheet, tmp_path / "sheet.jpg" / "below-a-file.jpg")
