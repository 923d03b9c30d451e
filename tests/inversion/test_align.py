import importlib
import io
import itertools
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from jaxedit.errors import InputError
from jaxedit.images import to_uint8
from jaxedit.inversion import align, align_face, cut_quad, detect_faces, face_detection, ffhq_quad
from jaxedit.inversion.face_detection import find_landmarks
from jaxedit.storage.download import FACE_API, fetch

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def astronaut_face(astronaut):
    (face,) = align(astronaut, 256)
    return face


def sample(number: int) -> np.ndarray:
    """A sample image that face-api comes with."""
    with tarfile.open(fetch(FACE_API)) as archive:
        data = archive.extractfile(f"package/demo/sample{number}.jpg").read()
    return np.asarray(Image.open(io.BytesIO(data)))


def side(quad):
    return np.hypot(*(quad[3] - quad[0]))


def landmarks_of(left_eye, right_eye, mouth):
    """Sixty-eight landmarks of which only these three places count."""
    landmarks = np.zeros((68, 2))
    landmarks[36:42], landmarks[42:48], landmarks[48:] = left_eye, right_eye, mouth
    return landmarks


def test_quad_follows_the_recipe():
    # Level eyes 20 apart, the mouth 30 below: max(2 · 20, 1.8 · 30) = 54 is half a side.
    quad = ffhq_quad(landmarks_of((90, 100), (110, 100), (100, 130)))
    np.testing.assert_allclose(quad, [(46, 49), (46, 157), (154, 157), (154, 49)])


def test_quad_turns_with_the_face():
    points = np.asarray([(90, 100), (110, 104), (98, 130)], float)
    turn = np.asarray([[0.6, -0.8], [0.8, 0.6]])
    np.testing.assert_allclose(
        ffhq_quad(landmarks_of(*(points @ turn.T))), ffhq_quad(landmarks_of(*points)) @ turn.T
    )


@pytest.mark.parametrize(
    "wrong", [np.full((68, 2), np.nan), np.zeros((68, 2)), landmarks_of((1, 0), (0, 0), (5e8, np.inf))]
)
def test_landmarks_that_are_no_face_are_refused(wrong):
    with pytest.raises(InputError, match="landmarks"):
        ffhq_quad(wrong)


def test_square_inside_is_the_photograph_itself(astronaut):
    quad = np.asarray([(100, 60), (100, 316), (356, 316), (356, 60)], float)
    crop = cut_quad(astronaut, quad, 256)
    difference = np.abs(crop.astype(int) - astronaut[60:316, 100:356])
    assert difference.mean() < 2.5  # four times finer and back: not quite the same pixels
    assert (
        np.abs(crop.mean((0, 1)) - astronaut[60:316, 100:356].mean((0, 1))).max() < 0.6
    )  # Pillow rounds down


def test_what_lies_outside_is_made_up_smoothly():
    photo = np.full((200, 200, 3), 60, np.uint8)
    photo[:, 100:] = (200, 150, 100)
    crop = cut_quad(photo, np.asarray([(100, -50), (100, 150), (300, 150), (300, -50)], float), 128)
    np.testing.assert_allclose(crop[70:120, 10:60], np.broadcast_to((200, 150, 100), (50, 50, 3)), atol=2)
    assert crop.min() >= 55  # nothing of it is black
    assert np.abs(np.diff(crop.astype(int), axis=1)).max() < 40


def test_large_photographs_are_shrunk_without_aliasing():
    rows, columns = np.mgrid[:1600, :1600]
    checks = np.repeat((((rows + columns) % 2) * 255).astype(np.uint8)[..., None], 3, 2)
    crop = cut_quad(checks, np.asarray([(100, 100), (100, 1500), (1500, 1500), (1500, 100)], float), 64)
    assert np.abs(crop.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("size", [0, 63, 4097])
def test_impossible_sizes_are_refused(astronaut, size):
    with pytest.raises(InputError, match="64 … 4096"):
        align(astronaut, size)
    with pytest.raises(InputError, match="64 … 4096"):
        align_face(astronaut, landmarks_of((90, 100), (110, 100), (100, 130)), size)


@pytest.mark.parametrize("shift", [-400, 900])
def test_squares_beside_the_photograph_are_refused(astronaut, shift):
    landmarks = landmarks_of((90 + shift, 100), (110 + shift, 100), (100 + shift, 130))
    with pytest.raises(InputError, match="about the photograph"):
        align_face(astronaut, landmarks)


def test_astronaut(astronaut, astronaut_face):
    face = astronaut_face
    assert face.score > 0.8
    np.testing.assert_allclose(face.box, (163, 75, 278, 185), atol=3)
    eyes = face.landmarks[36:42].mean(0), face.landmarks[42:48].mean(0)
    np.testing.assert_allclose(eyes, [(204.2, 101.4), (246.9, 103.4)], atol=2)  # read off the image
    assert face.image.shape == (256, 256, 3)
    np.testing.assert_array_equal(face.image, align_face(astronaut, face.landmarks, 256))


def test_first_landmarks_are_those_of_the_original(astronaut):
    recorded = json.loads((FIXTURES / "face_detector_reference.json").read_text())
    images = {"astronaut": astronaut, "sample4": sample(4)}
    faces = [(entry["image"], face) for entry in recorded for face in entry["faces"] if "landmarks" in face]
    assert len(faces) == 5
    for image, face in faces:
        left, top, right, bottom = face["box"]
        # The original cuts whole pixels out, but puts the landmarks back at the box's own corner.
        expected = np.asarray(face["landmarks"]) - (left % 1, top % 1)
        found = find_landmarks(images[image], (left, top, right, bottom))
        # It shrinks the box without antialiasing, which moves a landmark a little.
        distances = np.hypot(*(found - expected).T) / max(right - left, bottom - top)
        assert distances.mean() < 0.005
        assert distances.max() < 0.01


def test_quad_leads_back_to_the_photograph(astronaut, astronaut_face):
    # The crop's own pixel, through the quad, is the photograph's.
    left_up, left_down, _, right_up = astronaut_face.quad
    smooth_photo = np.asarray(Image.fromarray(astronaut).resize((512, 512)), int)
    for u, v in [(0.5, 0.5), (0.4, 0.45), (0.5, 0.65)]:
        x, y = left_up + u * (right_up - left_up) + v * (left_down - left_up)
        seen = smooth_photo[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].mean((0, 1))
        row, column = int(v * 256), int(u * 256)
        crop = astronaut_face.image[row - 2 : row + 3, column - 2 : column + 3].mean((0, 1))
        np.testing.assert_allclose(crop, seen, atol=12)


@pytest.mark.parametrize("degrees", [-30, 15])
def test_tilted_photographs_give_the_same_crop(astronaut, astronaut_face, degrees):
    turned = np.asarray(Image.fromarray(astronaut).rotate(degrees, Image.Resampling.BICUBIC, expand=True))
    (face,) = align(turned, 256)
    angle = np.deg2rad(degrees)
    turn = np.asarray([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    center = np.asarray(turned.shape[1::-1]) / 2
    expected = (astronaut_face.quad - 256) @ turn.T + center
    assert np.abs(face.quad - expected).max() < 0.03 * side(expected)
    assert np.abs(face.image.astype(int) - astronaut_face.image).mean() < 8


def test_scale_of_the_photograph_does_not_matter(astronaut, astronaut_face):
    large = np.asarray(Image.fromarray(astronaut).resize((1536, 1536), Image.Resampling.BICUBIC))
    (face,) = align(large, 256)
    assert np.abs(face.quad / 3 - astronaut_face.quad).max() < 0.03 * side(astronaut_face.quad)


def test_several_faces_come_largest_first(astronaut):
    half = np.asarray(Image.fromarray(astronaut).resize((320, 320), Image.Resampling.LANCZOS))
    photo = np.zeros((512, 832, 3), np.uint8)
    photo[:320, :320], photo[:, 320:] = half, astronaut
    faces = align(photo, 128)
    assert len(faces) == 2
    sides = [side(face.quad) for face in faces]
    assert sides[0] / sides[1] == pytest.approx(512 / 320, rel=0.05)
    assert faces[0].quad[:, 0].min() > 320 > faces[1].quad[:, 0].max()
    (largest,) = align(photo, 128, largest_only=True)
    np.testing.assert_array_equal(largest.image, faces[0].image)


def test_group_photograph():
    faces = detect_faces(sample(6))
    centers = np.asarray([face.landmarks.mean(0) for face in faces])
    # The original's boxes of these four; a fifth box of it is a wall between two heads.
    expected = [(1581, 459), (763, 516), (1240, 497), (354, 662)]
    assert len(faces) == 4
    for center in expected:
        assert np.hypot(*(centers - center).T).min() < 60
    sides = [side(ffhq_quad(face.landmarks)) for face in faces]
    assert sides == sorted(sides, reverse=True)


@pytest.mark.parametrize("name", ["coffee", "chelsea", pytest.param("retina", marks=pytest.mark.slow)])
def test_images_without_a_face(name):
    with pytest.raises(InputError, match=f"{name}: no face found"):
        detect_faces(getattr(skimage.data, name)(), name=name)


@pytest.mark.slow
def test_aligned_images_stay_as_they_are(images):
    # Images of a generator that was trained on FFHQ are aligned, up to the difference between dlib and our landmarks.
    quads, moves = [], []
    for image in np.asarray(to_uint8(images)):
        (face,) = detect_faces(image)
        quad = ffhq_quad(face.landmarks)
        eyes = np.stack([face.landmarks[36:42].mean(0), face.landmarks[42:48].mean(0)])
        in_crop = (eyes - quad[0]) @ np.linalg.inv(np.stack([quad[3] - quad[0], quad[1] - quad[0]])) * 1024
        quads.append(quad / 1024)
        moves.append(np.hypot(*(in_crop - eyes).T).max())
    assert np.median(moves) < 10  # pixels of 1024
    assert max(moves) < 35
    identity = np.asarray([(0, 0), (0, 1), (1, 1), (1, 0)])
    deviations = np.abs(np.asarray(quads) - identity).max((1, 2))
    centers = np.asarray(quads).mean(1) - 0.5
    assert deviations.max() < 0.07
    assert np.median(deviations) < 0.025
    assert np.abs(centers).max() < 0.02
    assert np.abs(centers.mean(0)).max() < 0.004


def test_an_image_that_is_too_small():
    with pytest.raises(InputError, match="64 pixels"):
        detect_faces(np.zeros((63, 200, 3), np.uint8))


@pytest.mark.parametrize(
    "shape",
    [
        (64, 64),
        (64, 900),
        *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((64, 3000), (3000, 64))),
    ],
)
def test_smallest_and_longest_images_are_looked_at(shape):
    with pytest.raises(InputError, match="no face found"):
        detect_faces(np.full((*shape, 3), 128, np.uint8))


@pytest.mark.parametrize("turn", [1, *(pytest.param(turn, marks=pytest.mark.slow) for turn in (2, 3))])
def test_photographs_that_lie_on_their_side(astronaut, astronaut_face, turn):
    turned = np.ascontiguousarray(np.rot90(astronaut, turn))
    (face,) = align(turned, 256)
    back = {1: lambda x, y: (512 - y, x), 2: lambda x, y: (512 - x, 512 - y), 3: lambda x, y: (y, 512 - x)}
    quad = np.stack(back[turn](*face.quad.T), -1)  # the corners in the same order: the crop is upright
    assert np.abs(quad - astronaut_face.quad).max() < 0.03 * side(quad)
    assert np.abs(face.image.astype(int) - astronaut_face.image).mean() < 8
    left, top, right, bottom = face.box
    assert left < face.landmarks[:, 0].mean() < right and top < face.landmarks[:, 1].mean() < bottom


def test_a_face_that_stands_on_its_head_is_not_taken_for_an_upright_one():
    photo = sample(1)[:962, :972]  # its mouth looks like two eyes to the networks
    (upright,) = detect_faces(photo)
    (found,) = detect_faces(np.ascontiguousarray(photo[::-1, ::-1]))
    expected = (972, 962) - ffhq_quad(upright.landmarks)
    assert np.abs(ffhq_quad(found.landmarks) - expected).max() < 0.05 * side(expected)


@pytest.mark.parametrize("number", [1, 4])
def test_landmarks_of_a_face_the_wrong_way_up_are_unsteady(number):
    photo = sample(number)
    for face in detect_faces(photo)[:2]:
        center = ffhq_quad(face.landmarks).mean(0)
        turned = face_detection.refine_landmarks(photo, 2 * center - face.landmarks)
        own, other = (face_detection._unsteadiness(photo, points) for points in (face.landmarks, turned))
        assert own < face_detection._STEADY < other


def test_one_chosen_face(astronaut, monkeypatch):
    half = np.asarray(Image.fromarray(astronaut).resize((320, 320), Image.Resampling.LANCZOS))
    photo = np.zeros((512, 832, 3), np.uint8)
    photo[:320, :320], photo[:, 320:] = half, astronaut
    faces = detect_faces(photo)
    module = importlib.import_module("jaxedit.inversion.align")  # the package has a function of this name
    monkeypatch.setattr(module, "detect_faces", lambda *_, **__: faces)  # each call would search the same
    large, small = align(photo, 64)
    for choice, expected in [(1, large), (2, small), ((140, 60), small), ((320 + 225, 110), large)]:
        (chosen,) = align(photo, 64, face=choice)
        np.testing.assert_array_equal(chosen.image, expected.image)
    with pytest.raises(
        InputError, match=r"photo: expected face 3, found 1 at \(\d+, \d+\), 2 at \(\d+, \d+\)"
    ):
        align(photo, 64, face=3)
    with pytest.raises(InputError, match=r"expected a face at \(10, 500\), found 1 at"):
        align(photo, 64, face=(10, 500))
    for wrong in (0, -1, (float("nan"), 3)):
        with pytest.raises(InputError, match="face: expected a number, 1 for the largest, or a place"):
            align(photo, 64, face=wrong)


def test_tiles_cover_the_photograph():
    for length in (1, 100, 832, 833, 1664, 2496, 3328):
        starts = face_detection._tile_starts(length)
        assert starts[0] == 0 and starts[-1] + 832 >= length
        assert all(b - a <= 832 - 128 for a, b in itertools.pairwise(starts))


@pytest.mark.slow
def test_a_face_of_one_hundredth_of_the_width(astronaut):
    photo = np.asarray(
        Image.fromarray(skimage.data.coffee()).resize((3300, 2200), Image.Resampling.BICUBIC)
    ).copy()
    small = np.asarray(Image.fromarray(astronaut).resize((148, 148), Image.Resampling.LANCZOS))
    photo[1500:1648, 2000:2148] = small  # the face is 33 pixels wide
    (face,) = align(photo, 64)
    assert np.hypot(*(face.landmarks.mean(0) - (2000 + 66, 1500 + 36))) < 8


def test_large_photographs_are_searched_reduced(monkeypatch):
    photo = np.full((900, 1200, 3), 60, np.uint8)
    photo[100:612, 300:812] = skimage.data.astronaut()
    (whole,) = detect_faces(photo)
    for enough in (1, 10_000):  # the face is confirmed in the reduced photograph, or in the whole one
        monkeypatch.setattr(face_detection, "_TILED_SIDES", (600,))
        monkeypatch.setattr(face_detection, "_REDUCED_ROWS", 100)
        monkeypatch.setattr(face_detection, "_ENOUGH_PIXELS", enough)
        assert face_detection._searched(photo).shape == (450, 600, 3)
        (found,) = detect_faces(photo)
        side = np.ptp(whole.landmarks[:, 0])
        assert np.abs(found.landmarks - whole.landmarks).max() < (0.02 if enough > 1 else 0.05) * side
        assert np.abs(np.subtract(found.box, whole.box)).max() < 0.2 * side
