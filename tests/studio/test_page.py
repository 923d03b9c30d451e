"""The page itself: named endpoints for programs, and a person with a browser."""

import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import gradio_client
import numpy as np
import pytest
from PIL import Image

from jaxedit.studio.page.app import Address, serve
from jaxedit.studio.studio import Studio, StudioConfig

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 120_000  # in thousandths


@pytest.fixture(scope="module")
def small_page(small_folders, tmp_path_factory):
    generator, axes = small_folders
    studio = Studio(StudioConfig(str(generator), tmp_path_factory.mktemp("page"), str(axes), pool=60))
    served = serve(studio, Address(), opens_browser=False)
    yield served
    served.close()
    assert not served.uploads.exists() and len(served.desk.visits) == 0


def client_of(served, folder):
    return gradio_client.Client(served.url, verbose=False, download_files=folder)


def test_programs_list_attributes_and_edit_by_number(small_page, tmp_path):
    client = client_of(small_page, tmp_path)
    attributes = {row["name"]: row for row in client.predict(api_name="/attributes")}
    assert list(attributes) == ["age", "smile"]
    assert attributes["age"]["unit"] == "years" and attributes["smile"]["unit"] == "standard deviations"
    plain, edited = (
        np.asarray(Image.open(client.predict(9, text, api_name="/edit_number")))
        for text in ("", "age=+5 years smile=-2")
    )
    assert plain.shape == edited.shape == (32, 32, 3) and (plain != edited).any()


def test_two_visitors_do_not_share(small_page, tmp_path):
    one, other = (client_of(small_page, tmp_path / name) for name in ("one", "other"))
    first = one.predict(9, "smile=2", api_name="/edit_number")
    other.predict(10, "smile=-2", api_name="/edit_number")
    again = one.predict(9, "smile=2", api_name="/edit_number")
    assert Path(first).read_bytes() == Path(again).read_bytes()
    assert len(small_page.desk.visits) >= 2


@pytest.mark.parametrize(
    ("number", "text", "said"),
    [(-1, "", "face"), (7, "smille=1", "unknown attribute"), (7, "smile=1e9", "standard deviations")],
)
def test_wrong_requests_get_one_sentence(small_page, tmp_path, number, text, said):
    with pytest.raises(gradio_client.exceptions.AppError, match=said):
        client_of(small_page, tmp_path).predict(number, text, api_name="/edit_number")


def test_requests_reach_no_file_of_this_machine_or_of_another_visitor(small_page, tmp_path):
    from jaxedit.studio.downloads import save_face

    session = small_page.desk.visits.of("somebody else")
    other = save_face(session, session.draw())
    (tmp_path / "link.png").symlink_to(other)
    paths = [
        "/etc/passwd",
        "../../../../etc/passwd",
        f"{small_page.uploads}/../../etc/passwd",
        other,
        tmp_path / "link.png",
    ]
    for path in map(str, paths):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{small_page.url}gradio_api/file={path}")
        assert refused.value.code in (403, 404)
        named = {"path": path, "meta": {"_type": "gradio.FileData"}}
        assert "event: error" in answer_of(
            small_page.url, "edit_photograph", [named, "smile=1", 1, True, False]
        )


def answer_of(url, name, values):
    """What a program gets that asks by HTTP alone."""
    call = f"{url}gradio_api/call/{name}"
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(call, json.dumps({"data": values}).encode(), headers)
    try:
        number = json.load(urllib.request.urlopen(request))["event_id"]
        return urllib.request.urlopen(f"{call}/{number}", timeout=60).read().decode()
    except urllib.error.HTTPError as error:
        return f"event: error {error.code}"


def test_a_taken_port_is_named(small_page, small_folders, tmp_path):
    from jaxedit.errors import InputError

    port = int(small_page.url.rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(InputError, match=f"--port.*{port}"):
        serve(small_page.desk.studio, Address(port=port), opens_browser=False)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        if CHROMIUM is None and not Path(playwright.chromium.executable_path).exists():
            pytest.fail("no Chromium here: apt-get install chromium, or playwright install chromium")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def real_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    served = serve(
        Studio(StudioConfig("mobile-stylegan-ffhq", folder, pool=240)), Address(), opens_browser=False
    )
    yield served
    served.close()


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
    page.wait_for_selector("#view-after img.face")
    yield page
    context.close()
    assert hosts - {"data"} == {real_page.url.split("/")[2]}  # nothing is asked of anybody else


def image_of(page):
    return page.locator("#view-after img.face").get_attribute("src")


def wait_for_rest(page, words):
    page.wait_for_function(f"() => document.querySelector('#said').innerText.includes({json.dumps(words)})")


@pytest.mark.slow
def test_a_slider_is_moved_undone_and_taken_home(visit, run, tmp_path):
    before = image_of(visit)
    visit.locator("#slider-0 input[type=number]").fill("12")
    wait_for_rest(visit, "44 years")
    assert image_of(visit) != before
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


@pytest.mark.slow
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
        for i, row in enumerate(rows):
            tiles.nth(i).click(click_count=1)
            if not truth[row]:
                tiles.nth(i).click(click_count=1)
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


@pytest.mark.slow
def test_a_telephone_shows_image_and_sliders(browser, real_page):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = context.new_page()
    page.goto(real_page.url)
    page.wait_for_selector("#view-after img.face", timeout=SECONDS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#slider-0 input[type=range]").bounding_box()["width"] > 150
    context.close()
