"""A person with a browser: every tab, with the real generator, by mouse, by keyboard and on a telephone."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from jaxedit.studio.page.app import Address, serve
from jaxedit.studio.studio import Studio, StudioConfig

SECONDS = 600_000  # in thousandths

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def real_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    config = StudioConfig("mobile-stylegan-ffhq", folder, is_local=False, num_steps=10, pool=240)
    served = serve(Studio(config), Address(), opens_browser=False)
    yield served
    served.close()


def wait_until_filled(page):
    """The image and the sliders of the first face are there."""
    page.wait_for_selector("#view-after img.face")
    page.wait_for_function("() => document.querySelector('#slider-0')?.innerText.includes('years')")


@pytest.fixture
def visit(browser, real_page):
    """A page that is open, and the hosts that it asked."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, hosts = context.new_page(), set()
    page.on(
        "request", lambda request: hosts.add(request.url.split("/")[2] if "//" in request.url else "data")
    )
    page.set_default_timeout(SECONDS)
    page.goto(real_page.url)
    wait_until_filled(page)
    yield page
    context.close()
    assert hosts - {"data"} == {real_page.url.split("/")[2]}  # nothing is asked of anybody else


def image_of(page):
    return page.locator("#view-after img.face").get_attribute("src")


def wait_for_rest(page, words):
    page.wait_for_function(f"() => document.querySelector('#said').innerText.includes({json.dumps(words)})")


def test_a_slider_is_moved_undone_and_taken_home(visit, run, tmp_path):
    before = image_of(visit)
    visit.evaluate(
        """() => {
          window.shown = [];
          const look = (image) => new MutationObserver(() => window.shown.push(image.src.split(":")[0])).observe(
            image, { attributes: true, attributeFilter: ["src"] });
          look(document.querySelector("#view-after img.face"));
        }"""
    )
    visit.locator("#slider-0 input[type=number]").fill("12")
    wait_for_rest(visit, "44 years")
    assert visit.evaluate("window.shown")[:1] == ["blob"]  # a small image came first
    assert image_of(visit) != before and image_of(visit).startswith("data:")
    visit.locator("#slider-0 input[type=range]").focus()
    visit.keyboard.press("ArrowRight")  # by the keyboard alone
    wait_for_rest(visit, "45 years")
    visit.keyboard.press("Control+z")
    wait_for_rest(visit, "44 years")
    with visit.expect_download() as download:
        visit.locator("#take-settings").click()
    settings = tmp_path / download.value.suggested_filename
    download.value.save_as(settings)
    assert settings.name == "face_7_edits.json"
    with visit.expect_download() as download:
        visit.locator("#take-face").click()
    face = tmp_path / "face.png"
    download.value.save_as(face)
    code, _, error = run("edit", "--settings", settings, "--out", tmp_path / "again.png")
    assert code == 0, error
    difference = np.abs(
        np.asarray(Image.open(face)).astype(int) - np.asarray(Image.open(tmp_path / "again.png"))
    )
    assert difference.mean() < 0.5


def test_marks_become_a_slider_that_moves_the_thing(visit, real_page):
    studio = real_page.desk.studio
    dataset = studio.dataset()
    column = dataset.attribute_names.index("hair_lightness")
    truth = np.asarray(dataset.values)[:, column] > np.median(np.asarray(dataset.values)[:, column])
    visit.get_by_role("tab", name="Teach a slider").click()
    visit.locator("#thing input, #thing textarea").first.fill("Light hair")
    visit.locator("#begin-teaching").click()
    for _ in range(3):
        visit.wait_for_selector("#teach-page .tile")
        tiles = visit.locator("#teach-page .tile")
        assert tiles.count() == 30
        rows = [int(tiles.nth(i).get_attribute("data-row")) for i in range(30)]
        tiles.nth(0).focus()  # by keyboard: a mark goes on to the next face
        for row in rows:
            visit.keyboard.press("y" if truth[row] else "n")
        marks = [tiles.nth(i).get_attribute("data-mark") for i in range(30)]
        assert marks == ["yes" if truth[row] else "no" for row in rows]
        visit.locator("#next-page").click()
        visit.wait_for_function(
            f"() => document.querySelector('#teach-page .tile')?.dataset.row != '{rows[0]}'"
        )
    assert "of 100 faces" in visit.locator("#teach-said").inner_text()
    visit.locator("#make-slider").click()
    visit.wait_for_function("() => document.querySelector('#teach-said').innerText.includes('first tab')")
    assert studio.axes.attribute_names[-1] == "light_hair"
    visit.get_by_role("tab", name="Edit").click()
    visit.wait_for_selector("#group-my-own >> text=light hair")
    session = next(iter(real_page.desk.visits._sessions.values()))[0]
    session.take_new_axes()
    top = [session.preview({"light_hair": amount})[:60].mean() for amount in (-2.0, 2.0)]
    assert top[1] > top[0] + 3  # the upper part of the image, where the hair is


def test_a_telephone_shows_image_and_sliders(browser, real_page):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = context.new_page()
    page.goto(real_page.url)
    page.set_default_timeout(SECONDS)
    wait_until_filled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#slider-0 input[type=range]").bounding_box()["width"] > 150
    context.close()


def reach(page, selector):
    """Press Tab until an element has the focus."""
    for _ in range(150):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement?.matches(selector)", selector):
            return
    pytest.fail(f"{selector} cannot be reached by keyboard")


def test_the_keyboard_alone_edits_and_downloads(visit):
    reach(visit, "#slider-0 input[type=range]")
    for _ in range(3):
        visit.keyboard.press("ArrowRight")
    wait_for_rest(visit, "35 years")
    reach(visit, "#take-face")
    with visit.expect_download() as download:
        visit.keyboard.press("Enter")
    assert download.value.suggested_filename == "face_7_edited.png"


def photographs(folder):
    """Two files with a face, and one without."""
    pixels = skimage.data.astronaut()
    for name, content in (("one", pixels), ("other", pixels[:, ::-1]), ("coffee", skimage.data.coffee())):
        Image.fromarray(content).save(folder / f"{name}.png")
    return [folder / f"{name}.png" for name in ("one", "other", "coffee")]


def test_a_photograph_is_edited_and_taken_home_whole(visit, tmp_path):
    path, _, coffee = photographs(tmp_path)
    visit.locator("#photo-part button").first.click()
    visit.locator("#photo input[type=file]").set_input_files(coffee)
    visit.wait_for_selector("text=coffee.png: no face found")  # a sentence, and the name alone
    visit.locator("#photo button[aria-label=Clear]").click()
    visit.locator("#photo input[type=file]").set_input_files(path)
    visit.wait_for_selector("#photo-said img.face")
    visit.locator("#how label").nth(1).click()
    visit.locator("#use-face").click()
    visit.wait_for_function("() => document.querySelector('#view-after img').alt.startsWith('one')")
    for slider, amount in ((0, "10"), (4, "-1.5"), (6, "1")):
        visit.locator(f"#slider-{slider} input[type=number]").fill(amount)
    wait_for_rest(visit, "mouth opening: +1")
    visit.locator("#texts button").first.click()
    command = visit.locator("#command textarea, #command input").first.input_value()
    # A slider that was taught on this page before makes it name the folder of its axes, too.
    assert command.startswith("jaxedit edit ") and " --photo one.png --preset quick age=" in command
    with visit.expect_download() as download:
        visit.locator("#take-photo").click()
    download.value.save_as(tmp_path / "edited.png")
    before, after = (np.asarray(Image.open(p)).astype(int) for p in (path, tmp_path / "edited.png"))
    assert before.shape == after.shape
    changed = np.abs(before - after).max(2) > 8
    assert changed[80:180, 160:290].any() and not changed[300:].any() and not changed[:, :100].any()


def test_many_photographs_survive_a_reload(visit, tmp_path):
    visit.locator("#slider-4 input[type=number]").fill("1")
    wait_for_rest(visit, "smile: +1")
    visit.get_by_role("tab", name="Many photographs").click()
    visit.locator("#many-files input[type=file]").set_input_files(photographs(tmp_path))
    visit.wait_for_selector("#many-files >> text=coffee")
    visit.locator("#begin-many").click()
    visit.wait_for_function("() => document.querySelector('#many-said').innerText.includes('of 3')")
    visit.reload()
    wait_until_filled(visit)
    visit.get_by_role("tab", name="Many photographs").click()
    visit.wait_for_function("() => document.querySelector('#many-said').innerText.includes('2 edited')")
    assert "coffee.png" in visit.locator("#many-said").inner_text()
    with visit.expect_download() as download:
        visit.locator("#many-zip").click()
    download.value.save_as(tmp_path / "all.zip")
    names = [Path(name).name for name in zipfile.ZipFile(tmp_path / "all.zip").namelist()]
    assert len([name for name in names if name.endswith((".png", ".jpg"))]) == 2 and "left_out.txt" in names
