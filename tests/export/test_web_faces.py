"""The search for faces in the exported page, in Chromium: the faces and the corners of crops are those of `align`."""

import base64
import io
import tarfile

import numpy as np
import pytest
import skimage
from PIL import Image

from jaxedit.inversion import align, detect_faces
from jaxedit.inversion.ffhq_crop import ffhq_quad
from jaxedit.storage.download import FACE_API, fetch
from tests.export.web_visits import Visit

pytestmark = pytest.mark.slow

_SEARCH = """async (encoded) => {
  const { Engine } = await import("/engine.js");
  globalThis.engine ??= await Engine.load(new URL("./", location.href).href, () => {});
  const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes]));
  const faces = await globalThis.engine.faces(bitmap, async () => {});
  return faces.map(({ score, square: { corner, across, down } }) => ({ score, square: [corner, across, down] }));
}"""


def encoded(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def sample(number):
    """A sample photograph that face-api comes with."""
    with tarfile.open(fetch(FACE_API)) as archive:
        data = archive.extractfile(f"package/demo/sample{number}.jpg").read()
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def tilted(pixels):
    return np.asarray(Image.fromarray(pixels).rotate(-30, Image.Resampling.BICUBIC, expand=True))


def small_in_large(pixels):
    """A face that is found in tiles alone: it is a hundredth of the width."""
    photo = np.asarray(
        Image.fromarray(skimage.data.coffee()).resize((3300, 2200), Image.Resampling.BICUBIC)
    ).copy()
    photo[1500:1648, 2000:2148] = np.asarray(
        Image.fromarray(pixels).resize((148, 148), Image.Resampling.LANCZOS)
    )
    return photo


PHOTOGRAPHS = {
    "astronaut": skimage.data.astronaut,
    "tilted": lambda: tilted(skimage.data.astronaut()),
    "lying": lambda: np.ascontiguousarray(np.rot90(skimage.data.astronaut())),
    "on its head": lambda: np.ascontiguousarray(sample(1)[:962, :972][::-1, ::-1]),
    "at the edge": lambda: skimage.data.astronaut()[60:260, 150:350],
    "small": lambda: small_in_large(skimage.data.astronaut()),
    **{f"sample {number}": (lambda number=number: sample(number)) for number in range(1, 7)},
}


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_squares_are_those_of_align(visit, name):
    photo = PHOTOGRAPHS[name]()
    found = visit.page.evaluate(_SEARCH, encoded(photo))
    expected = detect_faces(photo)
    assert len(found) == len(expected) >= 1
    for face, own in zip(expected, found, strict=True):
        quad = ffhq_quad(face.landmarks)
        corner, across, down = np.asarray(own["square"])
        corners = np.stack([corner, corner + down, corner + across + down, corner + across])
        side = np.hypot(*(quad[3] - quad[0]))
        distance = np.hypot(*(corners - quad).T).max() / side
        print(f"{name}: {distance:.4f} of the side, score {own['score'] - face.score:+.3f}")
        assert distance < 0.03
        assert own["score"] == pytest.approx(face.score, abs=0.05)


def test_of_several_faces_one_is_chosen(visit, tmp_path):
    page, photo = visit.page, sample(6)
    Image.fromarray(photo).save(tmp_path / "group.png")
    page.set_input_files("#photo-file", tmp_path / "group.png")
    page.wait_for_selector(".face")
    assert page.locator("#photo-text").inner_text().startswith("4 faces were found; the largest is number 1.")
    assert page.locator(".face").evaluate_all("all => all.map((one) => one.ariaPressed)") == [
        "true",
        *3 * ["false"],
    ]
    page.locator(".face").nth(2).click()
    assert page.locator(".face[aria-pressed=true]").get_attribute("aria-label") == "Face 3 of 4"
    page.locator("#photo-use").click()
    visit.wait_for("photograph 1")
    inside = np.s_[200:-200, 200:-200]
    third = align(photo, face=3)[0].image.astype(int)
    assert np.abs(visit.pixels()[inside] - third[inside]).mean() < 5
    page.locator("#other-face").click()
    assert page.locator(".face[aria-pressed=true]").inner_text() == "3"
    page.locator(".face").nth(0).click()
    page.locator("#photo-use").click()
    visit.wait_for("photograph 2")
    first = align(photo)[0].image.astype(int)
    assert np.abs(visit.pixels()[inside] - first[inside]).mean() < 5


def test_a_search_can_be_left(visit, tmp_path):
    Image.fromarray(skimage.data.coffee()).resize((3300, 2200)).save(tmp_path / "coffee.jpg")
    page = visit.page
    page.set_input_files("#photo-file", tmp_path / "coffee.jpg")
    page.wait_for_function("() => document.querySelector('#photo-text').innerText.includes('turned')")
    page.locator("#photo-mark").click()
    assert page.locator("#photo-text").inner_text().startswith("Drag the marks")
    page.locator("#photo-cancel").click()
    visit.amount("smile", 1)
    visit.wait_for(7, {"smile": 1})  # the thread that searched is free again
    assert page.locator("#photo-dialog").is_hidden()


def test_marks_serve_where_the_networks_cannot_be_loaded(browser, served, tmp_path):
    Image.fromarray(skimage.data.astronaut()).save(tmp_path / "astronaut.png")
    visit = Visit(browser, served.url, service_workers="block")
    visit.wait_for(7)
    page = visit.page
    visit.context.route("**/models/landmarks.onnx", lambda route: route.abort())
    page.set_input_files("#photo-file", tmp_path / "astronaut.png")
    page.wait_for_selector("#mark-0")
    text = page.locator("#photo-text").inner_text()
    assert text.startswith("The faces could not be looked for: models/landmarks.onnx: could not be loaded")
    visit.context.unroute("**/models/landmarks.onnx")
    page.locator("#photo-cancel").click()
    page.set_input_files("#photo-file", tmp_path / "astronaut.png")
    visit.wait_for("photograph 1")
    visit.close()
