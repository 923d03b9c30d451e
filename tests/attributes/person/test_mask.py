import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxedit import PersonMask
from jaxedit.attributes.person.pretrained import PERSON_MASK_WEIGHTS
from jaxedit.errors import CheckpointError, InputError
from jaxedit.nn.graph_network import GraphNetwork
from jaxedit.pretrained.fetching import fetch_weights
from jaxedit.storage.cache import checkpoint_folder
from jaxedit.storage.checkpoints import save_checkpoint
from tests.conftest import FIXTURES

run = jax.jit(lambda model, images: model(images))


@pytest.fixture(scope="module")
def person() -> PersonMask:
    return PersonMask.from_pretrained()


@pytest.fixture(scope="module")
def faces(reference) -> jax.Array:
    return jnp.asarray(reference["image_256"])


def test_agrees_with_tensorflow_js(person):
    expected = json.loads((FIXTURES / "person_mask_reference.json").read_text())
    pixels = [np.asarray(Image.open(FIXTURES / "face_api_crops" / file)) for file in expected["files"]]
    nearest = np.arange(256) * 160 // 256
    images = np.stack(pixels)[:, nearest][:, :, nearest] / np.float32(127.5) - 1
    masks = run(person, jnp.asarray(images))
    assert masks.shape == (2, 256, 256) and masks.dtype == jnp.float32
    np.testing.assert_allclose(masks.reshape(2, -1)[:, :: expected["every"]], expected["mask"], atol=1e-4)


def test_faces_hair_and_clothes_are_inside_and_the_corners_are_not(person, faces):
    masks = run(person, faces)
    assert float(masks.min()) >= 0 and float(masks.max()) <= 1
    assert (masks[:, 60:200, 90:166] > 0.9).all() and (masks[:, 250, 128] > 0.9).all()
    assert (masks[:, :8, :8] < 0.1).all()


def brightness() -> PersonMask:
    """In place of the network: a person where the image is white."""
    node = {
        "name": "y",
        "op": "Mean",
        "inputs": ["x"],
        "attributes": {"axes": [3], "keep_dims": True},
    }
    graph = {"input": "x", "input_shape": [16, 16, 3], "constants": [], "nodes": [node]}
    return PersonMask(GraphNetwork(graph, {}, outputs=["y"]))


@pytest.mark.parametrize("size", [(64, 64), (40, 24)])
def test_bytes_and_floats_of_any_size_have_a_mask_of_that_size(size):
    pixels = np.zeros((1, *size, 3), np.uint8)
    pixels[:, : size[0] // 2] = 255
    masks = brightness()(jnp.asarray(pixels))
    assert masks.shape == (1, *size) and masks.dtype == jnp.float32
    np.testing.assert_allclose(masks[0, :2], 1, atol=1e-6)
    np.testing.assert_allclose(masks[0, -2:], 0, atol=1e-6)
    np.testing.assert_allclose(brightness()(jnp.asarray(pixels) / 127.5 - 1), masks, atol=1e-6)


@pytest.mark.slow
def test_gradients_reach_the_image(person, faces):
    gradient = jax.jit(jax.grad(lambda images: person(images).mean()))(faces[:1])
    assert jnp.isfinite(gradient).all() and (gradient != 0).mean() > 0.5


@pytest.mark.parametrize("shape", [(1, 64, 64, 1), (64, 64, 3)])
def test_wrong_images(shape):
    with pytest.raises((InputError, TypeError)):
        brightness()(jnp.zeros(shape))


def test_the_weights_are_fetched_by_name():
    fetch_weights("person-mask")
    assert checkpoint_folder(PERSON_MASK_WEIGHTS.cache_name).is_dir()
    with pytest.raises(InputError, match=r"expected one of .*person-mask"):
        fetch_weights("mask")


def test_damaged_weights_are_named(tmp_path):
    graph = {"input": "x", "input_shape": [2], "constants": ["v", "w"], "nodes": []}
    save_checkpoint(
        tmp_path / "x",
        kind=PERSON_MASK_WEIGHTS.kind,
        config={"networks": {"selfie": graph}},
        arrays={"000": np.zeros(1)},
    )
    with pytest.raises(CheckpointError, match="damaged"):
        PersonMask.from_pretrained(tmp_path / "x")
