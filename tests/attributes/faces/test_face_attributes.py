import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxedit.attributes.classifier import AttributeClassifier
from jaxedit.attributes.faces.color import measure_colors
from jaxedit.attributes.faces.crop import CROP_SIZE, FACE_LEFT, FACE_SIDE, FACE_TOP, crop_faces
from jaxedit.attributes.faces.face_attributes import FACE_ATTRIBUTES, FaceAttributes, FaceIdentity
from jaxedit.attributes.faces.geometry import measure_geometry
from jaxedit.errors import InputError
from jaxedit.nn.resize import resample

FIXTURES = Path(__file__).parents[2] / "fixtures"
SIDE = 512


@pytest.fixture(scope="module")
def attributes() -> FaceAttributes:
    return FaceAttributes()


@pytest.fixture(scope="module")
def reference() -> list[dict]:
    return json.loads((FIXTURES / "face_api_reference.json").read_text())


@pytest.fixture(scope="module")
def portraits(reference) -> jax.Array:
    """The reference crops, put back to where a face is in an aligned 512² image with a gray surround."""
    canvas = np.full((len(reference), SIDE, SIDE, 3), 0.1, np.float32)
    left, top, side = (round(part * SIDE) for part in (FACE_LEFT, FACE_TOP, FACE_SIDE))
    for image, entry in zip(canvas, reference, strict=True):
        crop = Image.open(FIXTURES / "face_api_crops" / entry["file"]).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        image[top : top + side, left : left + side] = np.asarray(crop) / 127.5 - 1
    return jnp.asarray(canvas)


@pytest.fixture(scope="module")
def measure(attributes):
    """Images → {name: values}, compiled."""
    compiled = jax.jit(lambda model, images: model(images))
    return lambda images: dict(zip(attributes.names, np.asarray(compiled(attributes, images)).T, strict=True))


@pytest.fixture(scope="module")
def values(measure, portraits):
    return measure(portraits)


def test_is_an_attribute_classifier(attributes):
    assert isinstance(attributes, AttributeClassifier)
    assert len(set(attributes.names)) == len(attributes.units) == len(FACE_ATTRIBUTES)
    assert all(attribute.meaning for attribute in FACE_ATTRIBUTES)


def test_values_are_finite_and_vary(values):
    for name, column in values.items():
        assert column.dtype == np.float32
        assert np.isfinite(column).all(), name
        if not name.startswith("background"):
            assert column.std() > 0.01, name


def test_values_agree_with_the_original_networks(values, reference):
    age = np.array([entry["age"] for entry in reference])
    # The mean of an image and its mirror image: near, not equal.
    np.testing.assert_allclose(values["age"], age, atol=8)
    assert np.corrcoef(values["age"], age)[0, 1] > 0.98
    female = np.array([entry["gender"] == "female" for entry in reference])
    sure = np.array([entry["genderProbability"] > 0.8 for entry in reference])
    np.testing.assert_array_equal((values["gender"] > 0)[sure], female[sure])
    happy = np.array([entry["expressions"]["happy"] for entry in reference])
    assert values["smile"][happy > 0.9].min() > values["smile"][happy < 0.1].max()


def test_signs_agree_with_what_the_images_show(values):
    """Counted from 0: face 1 looks to the image's left, 2 to its right; 7 laughs; 6 is tanned."""
    assert values["yaw"][1] < -5
    assert values["yaw"][2] > 5
    assert values["mouth_opening"].argmax() == 7
    assert values["skin_lightness"].argmin() == 6


@pytest.mark.slow
def test_compiled_equals_eager(attributes, portraits, values):
    eager = np.asarray(attributes(portraits[:1]))
    compiled = np.stack([values[name][:1] for name in attributes.names], 1)
    np.testing.assert_allclose(compiled, eager, rtol=1e-3, atol=2e-2)


@pytest.mark.slow
def test_values_do_not_depend_on_the_batch(attributes, measure, portraits, values):
    alone = measure(portraits[3:4])
    for name in attributes.names:
        assert alone[name][0] == pytest.approx(values[name][3], rel=1e-3, abs=2e-2), name


def test_mirroring_negates_values_with_a_side_and_keeps_the_others(measure, portraits, values):
    mirrored = measure(portraits[:, :, ::-1])
    for name, column in values.items():
        expected = -column if name in ("yaw", "roll", "light_from_right") else column
        np.testing.assert_allclose(mirrored[name], expected, rtol=5e-3, atol=5e-2, err_msg=name)


@pytest.mark.parametrize(
    ("size", "tolerance"), [pytest.param(1024, 0.1, marks=pytest.mark.slow), (256, 0.35)]
)
def test_resolution_hardly_matters(measure, portraits, values, size, tolerance):
    """Differences stay below a part of the spread between the eight faces."""
    batch = len(portraits)
    resized = measure(jax.image.resize(portraits, (batch, size, size, 3), "linear"))
    for name, column in values.items():
        difference = np.abs(resized[name] - column)
        assert difference.mean() < tolerance * column.std(), name


@pytest.mark.slow
def test_averaged_down_input_is_the_same(measure, portraits, values):
    larger = jnp.repeat(jnp.repeat(portraits, 2, axis=1), 2, axis=2)
    for name, column in measure(larger).items():
        np.testing.assert_allclose(column, values[name], rtol=1e-3, atol=2e-2, err_msg=name)


def test_values_beyond_the_range_are_clipped(measure, portraits):
    bright = measure(portraits * 1.4)
    clipped = measure(jnp.clip(portraits * 1.4, -1, 1))
    for name in bright:
        np.testing.assert_allclose(bright[name], clipped[name], atol=1e-5, err_msg=name)


def test_colors_follow_the_image(measure, portraits, values):
    darker = measure((portraits + 1) * 0.7 - 1)
    for name in ("skin_lightness", "background_lightness"):
        assert (darker[name] < values[name] - 5).all()
    warmer = measure(jnp.clip(portraits + jnp.asarray([0.1, 0.0, -0.2]), -1, 1))
    assert (warmer["background_warmth"] > values["background_warmth"] + 5).all()
    assert values["background_lightness"] == pytest.approx(58.0, abs=1.5)  # sRGB 0.55


@pytest.mark.slow
def test_can_be_differentiated(portraits, reference):
    """In pixels and landmarks, even where an image is black (the networks' gradients: see test_face_api)."""

    def total(images, crops, landmarks):
        geometry = measure_geometry(landmarks)
        colors = measure_colors(images, landmarks, geometry["yaw"])
        return sum(v.sum() for v in (*geometry.values(), *colors.values()))

    gradient = jax.jit(jax.grad(total, argnums=(0, 1, 2)))
    landmarks = jnp.asarray([reference[0]["landmarks"]]) / 160
    whole = resample(portraits[:1], 128)
    crops = crop_faces(portraits[:1])
    for images, faces in ((whole, crops), (jnp.full_like(whole, -1.0), jnp.full_like(crops, -1.0))):
        for part in gradient(images, faces, landmarks):
            assert bool(jnp.isfinite(part).all())


def test_flat_image_gives_finite_values(measure):
    levels = np.float32([-1.0, 0.0, 1.0, -1.0, 0.0, 1.0, -1.0, 0.0])  # eight images, as in the other tests
    flat = measure(jnp.asarray(np.broadcast_to(levels[:, None, None, None], (8, SIDE, SIDE, 3))))
    assert all(np.isfinite(column).all() for column in flat.values())


def test_empty_batch(attributes):
    result = jax.eval_shape(attributes, jax.ShapeDtypeStruct((0, 256, 256, 3), jnp.float32))
    assert result.shape == (0, len(FACE_ATTRIBUTES))


@pytest.mark.parametrize("shape", [(1, 256, 200, 3), (1, 64, 64, 3)])
def test_images_that_do_not_fit_are_refused(attributes, shape):
    with pytest.raises(InputError, match=str(shape[1])):
        attributes(jnp.zeros(shape))


def test_crops_are_where_the_face_is(portraits, reference):
    crops = crop_faces(portraits)
    assert crops.shape == (8, CROP_SIZE, CROP_SIZE, 3)
    pixels = [np.asarray(Image.open(FIXTURES / "face_api_crops" / entry["file"])) for entry in reference]
    assert float(np.abs(crops - (np.stack(pixels) / 127.5 - 1)).mean()) < 0.02


def test_identity_is_nearer_for_the_same_face(portraits):
    identity = jax.jit(lambda model, images: model(images))
    model = FaceIdentity()
    one = np.asarray(identity(model, portraits))
    same = np.asarray(identity(model, jnp.clip(portraits[:, :, ::-1] * 0.95, -1, 1)))
    assert one.shape == (8, 128)
    distances = np.linalg.norm(one[:, None] - same[None], axis=-1)
    assert (distances.argmin(1) == np.arange(8)).all()
    assert np.median(np.diag(distances)) < 0.6
