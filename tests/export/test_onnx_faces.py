"""The networks that see faces as ONNX models: what they find is what the library's networks find."""

import jax.numpy as jnp
import numpy as np
import onnx
import pytest
import skimage
from PIL import Image

from jaxedit.attributes.faces.detector import FaceDetector
from jaxedit.attributes.faces.networks import FaceNetworks
from jaxedit.attributes.person.mask import PersonMask
from jaxedit.attributes.person.pretrained import load_mask_network
from jaxedit.export.web.models import detector_model, landmarks_model, person_model
from jaxedit.images import from_pixels


def evaluate(model, images):
    from onnx.reference import ReferenceEvaluator

    (name,) = model.about["inputs"]
    evaluator = ReferenceEvaluator(onnx.load_from_string(model.serialized))
    assert evaluator.output_names == model.about["outputs"]
    return evaluator.run(None, {name: np.asarray(images).transpose(0, 3, 1, 2)})


@pytest.fixture(scope="module")
def networks():
    return FaceDetector.from_pretrained(), FaceNetworks.from_pretrained().landmarks


@pytest.fixture(scope="module")
def models(networks):
    made = [detector_model(networks[0]), landmarks_model(networks[1]), person_model(load_mask_network())]
    return {one.name: one for one in made}


def astronaut(box, size):
    crop = Image.fromarray(skimage.data.astronaut()).crop(box).resize((size, size), Image.Resampling.BILINEAR)
    return from_pixels(jnp.asarray(np.asarray(crop))[None])


@pytest.mark.parametrize("side", [224, 160])  # an even number of cells, and an odd one
def test_boxes_and_scores_are_those_of_the_library(networks, models, side):
    images = jnp.concatenate([astronaut((0, 0, 512, 512), side), astronaut((100, 0, 356, 256), side)])
    boxes, scores = networks[0](images)
    found_boxes, found_scores = evaluate(models["detector"], images)
    assert np.asarray(scores).max(1).min() > 0.5
    np.testing.assert_allclose(found_scores, scores, atol=2e-5)
    likely = np.asarray(scores) > 1e-3
    np.testing.assert_allclose(found_boxes[likely], np.asarray(boxes)[likely], atol=2e-5)


def test_landmarks_are_those_of_the_library(networks, models):
    crops = jnp.concatenate([astronaut((163, 75, 278, 190), 160), astronaut((150, 60, 290, 200), 160)])
    expected = np.asarray(networks[1](crops))
    (found,) = evaluate(models["landmarks"], crops)
    assert np.abs(expected[0] - expected[1]).max() > 0.05
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_the_person_is_that_of_the_library(models):
    images = jnp.concatenate([astronaut((0, 0, 512, 512), 256), astronaut((100, 0, 356, 256), 256)])
    expected = np.asarray(PersonMask.from_pretrained()(images))
    (found,) = evaluate(models["person"], images)
    assert 0.1 < expected.mean() < 0.9 and expected.max() > 0.99
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_networks_are_as_small_as_they_were_published(models):
    sizes = {name: len(model.serialized) for name, model in models.items()}
    assert sizes["detector"] < 215e3 and sizes["landmarks"] < 425e3 and sizes["person"] < 260e3
    assert all(model.about["is_later"] for model in models.values())
