"""A photograph in the exported page, in Chromium: cut out, encoded, edited, pasted back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage
from PIL import Image

from jaxedit.inversion import align, detect_faces
from jaxedit.inversion.ffhq_crop import cut_quad, ffhq_quad
from jaxedit.inversion.paste import motion
from tests.export.small_models import normal

pytestmark = pytest.mark.slow

MARKS = [(203.8, 102.0), (246.4, 103.6), (223.7, 142.0)]
"""Eyes and mouth of the astronaut."""


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    path = tmp_path_factory.mktemp("photographs") / "astronaut.png"
    Image.fromarray(skimage.data.astronaut()).save(path)
    return path


def put_marks(visit, marks, size):
    page = visit.page
    box = page.locator("#photo-canvas").bounding_box()
    for i, (x, y) in enumerate(marks):
        mark = page.locator(f"#mark-{i}").bounding_box()
        page.mouse.move(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + x / size[0] * box["width"], box["y"] + y / size[1] * box["height"])
        page.mouse.up()


def landmarks_of(left_eye, right_eye, mouth):
    landmarks = np.zeros((68, 2))
    landmarks[36:42], landmarks[42:48], landmarks[[48, 54]] = left_eye, right_eye, mouth
    return landmarks


def test_a_photograph_is_edited_and_taken_home_whole(visit, photograph, tmp_path):
    visit.page.set_input_files("#photo-file", photograph)
    visit.wait_for("photograph 1")
    assert not visit.page.locator("#photo-dialog").is_visible()  # there is one face, so nothing is asked
    (face,) = align(skimage.data.astronaut(), 1024)
    before = skimage.data.astronaut().astype(int)
    crop = face.image.astype(int)
    inside = np.s_[200:-200, 200:-200]
    assert np.abs(visit.pixels()[inside] - crop[inside]).mean() < 4
    assert visit.page.locator("#said").inner_text() == "astronaut.png, unedited"
    visit.amount("smile", -1.5)
    visit.wait_for("photograph 1", {"smile": -1.5})
    edited = visit.pixels()
    corner = np.s_[:60, :60]
    assert np.abs(edited[corner] - crop[corner]).mean() < 4 < np.abs(edited[inside] - crop[inside]).mean()
    with visit.page.expect_download() as download:
        visit.page.locator("#download-photo").click()
    assert download.value.suggested_filename == "astronaut_photograph_edited.png"
    download.value.save_as(tmp_path / "whole.png")
    after = np.asarray(Image.open(tmp_path / "whole.png").convert("RGB")).astype(int)
    assert after.shape == before.shape
    changed = np.abs(after - before).max(2) > 0
    quad = face.quad
    (left, top), (right, bottom) = np.floor(quad.min(0)).astype(int) - 2, np.ceil(quad.max(0)).astype(int) + 2
    assert changed[100:160, 190:260].mean() > 0.5
    changed[max(top, 0) : bottom, left:right] = False
    assert not changed.any()
    visit.page.locator("#seed").fill("7")
    visit.page.locator("#seed").press("Enter")
    visit.wait_for(7, {"smile": -1.5})
    visit.page.keyboard.press("Control+z")
    visit.wait_for("photograph 1", {"smile": -1.5})
    np.testing.assert_array_equal(visit.pixels(), edited)


def test_marks_correct_what_was_found(visit, photograph):
    page = visit.page
    page.set_input_files("#photo-file", photograph)
    visit.wait_for("photograph 1")
    found = visit.pixels()
    page.locator("#other-face").click()
    assert page.locator("#photo-text").inner_text() == "One face was found."
    assert page.locator(".face").get_attribute("aria-pressed") == "true"
    page.locator("#photo-mark").click()
    (face,) = detect_faces(skimage.data.astronaut())
    box = page.locator("#photo-canvas").bounding_box()
    for i, points in enumerate((face.landmarks[36:42], face.landmarks[42:48], face.landmarks[[48, 54]])):
        mark = page.locator(f"#mark-{i}").bounding_box()
        place = (mark["x"] + mark["width"] / 2 - box["x"], mark["y"] + mark["height"] / 2 - box["y"])
        np.testing.assert_allclose(np.asarray(place) / box["width"] * 512, points.mean(0), atol=3)
    put_marks(visit, MARKS, (512, 512))
    page.locator("#photo-use").click()
    visit.wait_for("photograph 2")
    crop = cut_quad(skimage.data.astronaut(), ffhq_quad(landmarks_of(*MARKS)), 1024).astype(int)
    inside = np.s_[200:-200, 200:-200]
    assert np.abs(visit.pixels()[inside] - crop[inside]).mean() < 4
    page.locator("#other-face").click()
    page.locator("#photo-cancel").click()
    page.keyboard.press("Control+z")
    visit.wait_for("photograph 1")
    np.testing.assert_array_equal(visit.pixels(), found)


def test_without_a_face_one_sets_marks_by_keyboard_and_other_files_are_named(visit, tmp_path):
    page = visit.page

    def wait_until_said(words):
        page.wait_for_function(
            "words => document.querySelector('#said').innerText.includes(words)", arg=words
        )

    (tmp_path / "notes.txt").write_text("no photograph")
    page.set_input_files("#photo-file", tmp_path / "notes.txt")
    wait_until_said("cannot read as an image")
    Image.new("RGB", (300, 63)).save(tmp_path / "small.png")
    page.set_input_files("#photo-file", tmp_path / "small.png")
    wait_until_said("small.png: expected 64 pixels a side or more, got 300 × 63")
    Image.new("RGB", (300, 200)).save(tmp_path / "gray.png")
    page.set_input_files("#photo-file", tmp_path / "gray.png")
    page.wait_for_selector("#mark-0")
    assert page.locator("#photo-text").inner_text().startswith("No face was found in this photograph. Drag")
    assert page.evaluate("document.activeElement.id") == "mark-0"
    before = page.locator("#mark-0").bounding_box()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    after = page.locator("#mark-0").bounding_box()
    assert after["x"] < before["x"] - 5 and after["y"] == before["y"]
    assert "Arrow keys move it" in page.locator("#mark-0").get_attribute("aria-label")
    page.locator("#photo-cancel").click()
    assert page.locator("#canvas").get_attribute("data-shown") == "7 []"


def test_its_mathematics_is_that_of_the_library(visit, encoder):
    images = np.asarray(jax.image.resize(normal(2, 20, 20, 3), (2, 256, 256, 3), "cubic"))
    images = np.clip(images / 3, -1, 1)
    images[1, :128] = 0.9 * images[0, :128] + 0.05
    seen = np.clip(np.asarray(jax.image.resize(normal(1, 9, 9, 3), (1, 160, 160, 3), "cubic")), -1, 1)
    planar = [image.transpose(2, 0, 1).ravel().tolist() for image in (*images, seen[0])]
    found = visit.page.evaluate(
        """async ([before, after, seen, marks]) => {
          const { motion } = await import("/motion.js");
          const { squareOf } = await import("/photographs.js");
          const { Engine } = await import("/engine.js");
          const engine = await Engine.load(new URL("./", location.href).href, () => {});
          const face = await engine.photograph({ crop: null, seen: Float32Array.from(seen) });
          const square = squareOf(...marks);
          return {
            motion: [...motion(Float32Array.from(before), Float32Array.from(after), 256)],
            square: [square.corner, square.across, square.down],
            layers: [...face.layers],
          };
        }""",
        [*planar, MARKS],
    )
    expected = np.asarray(motion(jnp.asarray(images[:1]), jnp.asarray(images[1:])))[0]
    assert 0.2 < expected.mean() < 0.8
    np.testing.assert_allclose(np.reshape(found["motion"], (128, 128)), expected, atol=2e-3)
    quad = ffhq_quad(landmarks_of(*MARKS))
    np.testing.assert_allclose(found["square"], [quad[0], quad[3] - quad[0], quad[1] - quad[0]], atol=1e-6)
    latents = np.asarray(encoder(jnp.asarray(seen)))
    near = np.abs(np.reshape(found["layers"], latents.shape) - latents)
    assert near.max() < 0.05 * np.abs(latents).max()
