"""A person with a browser and nothing else: the exported page of the real generator, in Chromium."""

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxedit.images import to_uint8
from jaxedit.latents.seed_stream import w_of_seed
from tests.export.web_visits import Visit, own_bytes

pytestmark = pytest.mark.slow


def drawn(generator, axes, seed, edits):
    """This library's image of edits in the units of the sliders: years, degrees, standard deviations."""
    w = w_of_seed(generator, seed, truncation_psi=0.7)
    values = np.asarray(axes.read(w))
    known = {name: axes.attribute_units[axes.attribute_names.index(name)] for name in edits}
    amounts = {}
    for name, amount in edits.items():
        column = axes.attribute_names.index(name)
        target = values.copy()
        target[0, column] += amount
        before, after = (
            np.asarray(axes.quantile_transform.transform(one))[0, column] for one in (values, target)
        )
        amounts[name] = float(after - before) if known[name] in ("years", "degrees") else amount
    image = to_uint8(generator.synthesis(axes.edit(w, amounts)))
    return np.asarray(image)[0].astype(int), amounts


def test_images_are_those_of_the_library(visit, generator, axes, tmp_path):
    assert visit.page.evaluate("crossOriginIsolated")
    unedited, _ = drawn(generator, axes, 7, {})
    assert np.abs(visit.pixels() - unedited).max() <= 3
    visit.everywhere()
    edits = {"age": 12, "smile": 1.2, "yaw": -14, "skin_lightness": 1}
    for name, amount in edits.items():
        visit.amount(name, amount)
    visit.wait_for(7, edits)
    edited, amounts = drawn(generator, axes, 7, edits)
    assert np.abs(visit.pixels() - edited).max() <= 3
    assert np.abs(edited - unedited).mean() > 5
    command = visit.page.locator("#command").input_value()
    assert command.startswith("jaxedit edit --seed 7 --where everywhere ")
    said = {word.split("=")[0]: float(word.split("=")[1]) for word in command.split()[6:]}
    assert said == pytest.approx(amounts, abs=2e-3)
    with visit.page.expect_download() as download:
        visit.page.locator("#download").click()
    assert download.value.suggested_filename == "face_7_edited.png"
    download.value.save_as(tmp_path / "face.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "face.png"))[..., :3], visit.pixels())
    visit.page.locator("#seed").fill("123456")
    visit.page.locator("#seed").press("Enter")
    visit.page.locator("#reset-all").click()
    visit.wait_for(123456)
    assert np.abs(visit.pixels() - drawn(generator, axes, 123456, {})[0]).max() <= 3


def test_a_small_image_follows_a_slider_and_the_whole_one_its_rest(visit, generator, axes):
    visit.everywhere()
    times = []
    for amount in range(1, 11):
        visit.move("age", amount)
        times.append(visit.wait_for(7, {"age": amount}, kind="small"))
    small = visit.pixels()
    visit.move("age", 10, "change")
    rest = visit.wait_for(7, {"age": 10})
    whole = drawn(generator, axes, 7, {"age": 10})[0]
    assert np.abs(visit.pixels() - whole).max() <= 3
    unedited = drawn(generator, axes, 7, {})[0]

    def far(image):
        shrunk = [one.reshape(64, 16, 64, 16, 3).mean((1, 3)) for one in (image, whole)]
        return np.abs(shrunk[0] - shrunk[1]).mean()

    assert far(small) < 0.6 * far(unedited)
    print(f"small images after {sorted(times)[5]:.0f} ms (median), the whole one after {rest:.0f} ms")


def test_edits_are_undone_compared_and_read_as_text(visit):
    page = visit.page
    visit.amount("age", 12)
    visit.wait_for(7, {"age": 12})
    edited = visit.pixels()
    page.locator("#slider-smile").focus()
    page.keyboard.press("ArrowRight")  # by the keyboard alone
    visit.wait_for(7, {"age": 12, "smile": 0.1})
    assert page.locator("#slider-smile").get_attribute("aria-valuetext").startswith("+0.1, now ")
    page.keyboard.press("Control+z")
    visit.wait_for(7, {"age": 12})
    np.testing.assert_array_equal(visit.pixels(), edited)
    page.keyboard.press("Control+Shift+z")
    visit.wait_for(7, {"age": 12, "smile": 0.1})
    assert page.locator("#said").inner_text().startswith("Face 7: age 32 → 44 years, smile ")
    page.locator("body").focus()
    page.keyboard.down("b")
    assert page.locator("#badge").is_visible()
    before = visit.pixels()
    page.keyboard.up("b")
    assert np.abs(before - edited).mean() > 3 and not page.locator("#badge").is_visible()
    page.locator("#texts summary").click()
    assert page.locator("#edit-text").input_value() == "age=+12 years smile=+0.1"
    page.locator("#edit-text").fill("smile=−1 yaw=+10 degrees")
    page.locator("#edit-text").press("Enter")
    visit.wait_for(7, {"smile": -1, "yaw": 10})
    page.locator("#edit-text").fill("smiles=1")
    page.locator("#edit-text").press("Enter")
    assert page.locator("#text-problem").inner_text() == "no slider is called “smiles”"
    page.locator("#slider-yaw").dblclick()
    visit.wait_for(7, {"smile": -1})
    page.locator("#slider-smile").press("Delete")
    visit.wait_for(7)
    page.locator("#random").click()
    page.wait_for_function("() => !document.querySelector('#canvas').dataset.shown.startsWith('7 ')")


def test_what_is_typed_stays_until_it_is_entered(browser, served):
    visit = Visit(browser, served.url)
    visit.wait_for(7)
    visit.amount("smile", 1)
    visit.wait_for(7, {"smile": 1})
    field = visit.page.locator("#slider-smile-number")
    field.fill("-1")
    visit.page.evaluate("document.querySelector('#undo').click()")  # the page shows all amounts again
    visit.wait_for(7)
    assert field.input_value() == "-1"
    field.press("Enter")
    visit.wait_for(7, {"smile": -1})
    field.select_text()
    visit.page.keyboard.type("0.5")
    visit.page.locator("#seed").focus()  # left without Enter, it is entered, as in any field
    visit.wait_for(7, {"smile": 0.5})
    visit.close()


def test_it_works_offline_once_loaded(browser, served):
    visit = Visit(browser, served.url)
    visit.wait_for(7)
    visit.context.set_offline(True)
    visit.page.reload()
    visit.wait_for(7)
    visit.amount("smile", -1)
    visit.wait_for(7, {"smile": -1})
    assert visit.page.evaluate("crossOriginIsolated")
    visit.close()


def test_two_hundred_moves_do_not_pile_up_memory(visit, browser):
    visit.everywhere()
    draw = random.Random(0)
    names = ["age", "smile", "yaw", "pitch", "hair_length", "eyeglasses"]
    limits = visit.page.evaluate(
        "names => names.map(name => document.getElementById(`slider-${name}`)).map(({ min, max }) => [+min, +max])",
        names,
    )
    choices = {name: (low, high, 1, -1) for name, (low, high) in zip(names, limits, strict=True)}
    amounts, sizes = {}, []
    for count in range(200):
        name = draw.choice(names)
        amounts[name] = draw.choice(choices[name])
        is_rest = count % 10 == 9
        visit.move(name, amounts[name])
        visit.wait_for(7, amounts, kind="any")
        if is_rest:
            visit.move(name, amounts[name], "change")
            visit.wait_for(7, amounts)
            visit.page.locator("#reset-all").click()
            amounts = {}
            visit.wait_for(7)
            sizes.append(own_bytes(browser))
    print([round(size / 1e6) for size in sizes])
    assert np.mean(sizes[-5:]) < np.mean(sizes[3:8]) + 60e6


def test_the_models_are_small(served):
    folder = Path(served.folder)
    sizes = {path.stem: path.stat().st_size for path in (folder / "models").iterdir()}
    assert {"encoder", "detector", "landmarks", "person"} < set(sizes)
    assert sum(sizes.values()) <= 25e6


def test_a_telephone_shows_image_and_sliders(browser, served):
    visit = Visit(
        browser, served.url, viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True
    )
    visit.wait_for(7)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert visit.page.locator("#slider-age").bounding_box()["width"] > 150
    visit.page.locator("#slider-blond_hair").scroll_into_view_if_needed()
    image = visit.page.locator("#canvas").bounding_box()
    assert image["y"] >= 0 and image["width"] > 200  # it stays in sight
    visit.close()
