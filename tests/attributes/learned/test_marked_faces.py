"""What was learned from marks, on photographs of people that it has never seen."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxedit.attributes.faces.crop import FACE_LEFT, FACE_SIDE, FACE_TOP
from jaxedit.attributes.learned.classifier import LearnedClassifier
from jaxedit.attributes.learned.flaws import Flaws
from jaxedit.attributes.learned.marked_faces import (
    FLAW,
    MARKED_ATTRIBUTES,
    load_marked_faces,
    load_marked_second_view,
)
from jaxedit.attributes.user_classifier import face_classifiers, load_classifier
from jaxedit.errors import InputError

FIXTURES = Path(__file__).parents[2] / "fixtures"
REFERENCE = json.loads((FIXTURES / "face_api_reference.json").read_text())
SIDE = 512


@pytest.fixture(scope="module")
def classifier() -> LearnedClassifier:
    return load_marked_faces((*MARKED_ATTRIBUTES, FLAW))


@pytest.fixture(scope="module")
def portraits() -> np.ndarray:
    """Four reference crops, put back to where a face is in an aligned 512² image with a gray surround."""
    canvas = np.full((4, SIDE, SIDE, 3), 0.1, np.float32)
    left, top, side = (round(part * SIDE) for part in (FACE_LEFT, FACE_TOP, FACE_SIDE))
    for image, entry in zip(canvas, REFERENCE, strict=False):
        crop = Image.open(FIXTURES / "face_api_crops" / entry["file"])
        crop = crop.resize((side, side), Image.Resampling.BICUBIC)
        image[top : top + side, left : left + side] = np.asarray(crop) / 127.5 - 1
    return canvas


def read(classifier, images) -> dict[str, np.ndarray]:
    values = np.asarray(jax.jit(lambda c, x: c(x))(classifier, jnp.asarray(images)))
    assert values.dtype == np.float32 and np.isfinite(values).all()
    return dict(zip(classifier.names, values.T, strict=True))


def with_frames(portraits: np.ndarray) -> np.ndarray:
    """Dark frames drawn around the eyes, a bridge between them, and temples to the ears."""
    framed = portraits.copy()
    for image, entry in zip(framed, REFERENCE, strict=False):
        points = np.array(entry["landmarks"]) / 160 * FACE_SIDE + [FACE_LEFT, FACE_TOP]
        left, right = points[36:42].mean(0), points[42:48].mean(0)
        half = 0.4 * abs(((points[48] + points[54]) / 2 - (left + right) / 2)[1])
        for center in (left, right):
            x0, y0, x1, y1 = (round(float(v) * SIDE) for v in (*(center - half), *(center + half)))
            image[y1 - 3 : y1 + 3, x0:x1] = image[y0 - 3 : y0 + 3, x0:x1] = -0.9
            image[y0:y1, x0 - 3 : x0 + 3] = image[y0:y1, x1 - 3 : x1 + 3] = -0.9
        y, x0, x1 = (round(float(part) * SIDE) for part in (points[27, 1], left[0], right[0]))
        image[y - 3 : y + 3, x0:x1] = -0.9
    return framed


def test_frames_are_seen(classifier, portraits):
    values = read(classifier, np.concatenate([portraits, with_frames(portraits)]))
    bare, framed = np.split(values["eyeglasses"], 2)
    assert (bare < 0).all()  # nobody wears any
    assert (framed > bare + 2).all()
    assert (values["sunglasses"] < 0).all()


def test_frames_are_seen_by_the_second_view(portraits):
    second = load_marked_second_view(("eyeglasses", "sunglasses"))
    assert second.names == ("eyeglasses@faceres", "sunglasses@faceres")
    assert second.features.network.network == "faceres"
    values = read(second, np.concatenate([portraits, with_frames(portraits)]))
    bare, framed = np.split(values["eyeglasses@faceres"], 2)
    assert (bare < 0).all()
    assert (framed > bare + 2).all()
    assert (values["sunglasses@faceres"] < 0).all()


def test_smears_look_broken(portraits):
    """Noise over half of the face; the descriptor hardly varies while images look whole."""
    broken = portraits.copy()
    broken[:, 200:420, 150:360] = np.random.RandomState(0).uniform(-1, 1, (4, 220, 210, 3))
    flaws = Flaws.of_marked_faces()
    whole, torn = np.split(
        np.asarray(jax.jit(lambda f, x: f(x))(flaws, np.concatenate([portraits, broken]))), 2
    )
    assert whole.shape == (4, 1) and (whole > 0).all()
    assert (torn > whole).all()


def test_names_units_and_the_flaw(classifier):
    assert load_classifier("marked-faces").names == MARKED_ATTRIBUTES
    assert load_marked_faces((FLAW,)).names == (FLAW,)
    units = dict(zip(classifier.names, classifier.units, strict=True))
    assert units["eyeglasses"] == "log-odds" and units["hair_length"] == "level"
    with pytest.raises(InputError, match="attributes: expected each once, some of eyeglasses"):
        load_marked_faces(("hats",))
    assert face_classifiers(("age", "smile")) == ["faces"]
    assert face_classifiers(("age", "headwear")) == ["faces", "marked-faces"]


def test_a_file_holds_what_a_folder_holds(classifier, tmp_path):
    one = classifier.select(("teeth", "curl"))
    two = LearnedClassifier.load_file(one.save_file(tmp_path / "two.npz"))
    assert (two.names, two.units, two.features.regions) == (one.names, one.units, one.features.regions)
    for name, weight in one.weights.items():
        np.testing.assert_array_equal(weight, two.weights[name])
    (tmp_path / "cut.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:5000])
    with pytest.raises(InputError, match=r"cut.npz: expected a file of a learned"):
        LearnedClassifier.load_file(tmp_path / "cut.npz")
