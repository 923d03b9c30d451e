import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxedit.attributes.faces.networks import DESCRIPTOR_DIM, NUM_LANDMARKS, FaceNetworks
from jaxedit.attributes.faces.pretrained import FACE_WEIGHTS
from jaxedit.errors import CheckpointError
from jaxedit.nn.resize import pad_to_square
from jaxedit.storage.checkpoints import read_metadata, save_checkpoint
from jaxedit.storage.download import FACE_API, cache_dir, fetch

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(scope="module")
def networks() -> FaceNetworks:
    return FaceNetworks.from_pretrained()


@pytest.fixture(scope="module")
def reference() -> list[dict]:
    """What TensorFlow.js says of each crop."""
    return json.loads((FIXTURES / "face_api_reference.json").read_text())


@pytest.fixture(scope="module")
def crops(reference):
    pixels = [np.asarray(Image.open(FIXTURES / "face_api_crops" / entry["file"])) for entry in reference]
    return jnp.asarray(np.stack(pixels) / 127.5 - 1, jnp.float32)


run = jax.jit(lambda network, images: network(images))


def test_age_and_gender_agree_with_the_original(networks, crops, reference):
    age, logits = run(networks.age_gender, crops)
    assert age.dtype == logits.dtype == jnp.float32
    np.testing.assert_allclose(age, [entry["age"] for entry in reference], atol=0.01)
    probabilities = jax.nn.softmax(logits)
    for row, entry in zip(probabilities, reference, strict=True):
        assert row[networks.genders.index(entry["gender"])] == pytest.approx(
            entry["genderProbability"], abs=1e-4
        )


def test_expressions_agree_with_the_original(networks, crops, reference):
    probabilities = jax.nn.softmax(run(networks.expressions, crops))
    expected = [[entry["expressions"][name] for name in networks.expression_names] for entry in reference]
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)


def test_landmarks_agree_with_the_original(networks, crops, reference):
    landmarks = run(networks.landmarks, crops)
    assert landmarks.shape == (8, NUM_LANDMARKS, 2)
    np.testing.assert_allclose(landmarks * 160, [entry["landmarks"] for entry in reference], atol=0.01)


def test_descriptors_agree_with_the_original(networks, crops, reference):
    descriptors = run(networks.identity, crops)
    assert descriptors.shape == (8, DESCRIPTOR_DIM)
    np.testing.assert_allclose(descriptors, [entry["descriptor"] for entry in reference], atol=1e-4)


def test_jit_takes_a_network_as_an_argument(networks, crops):
    compiled = run(networks.expressions, crops)
    np.testing.assert_allclose(compiled, networks.expressions(crops), rtol=1e-3, atol=1e-3)


def test_landmarks_of_a_wide_crop_are_fractions_of_its_own_sides(networks, crops):
    bars = jnp.pad(crops, ((0, 0), (20, 20), (0, 0), (0, 0)), constant_values=-1.0)  # square after padding
    tall = run(networks.landmarks, bars)
    square = run(networks.landmarks, pad_to_square(bars, -1.0))
    np.testing.assert_allclose(tall[..., 1], square[..., 1], atol=1e-5)
    np.testing.assert_allclose(tall[..., 0] * 160 + 20, square[..., 0] * 200, atol=1e-3)


def test_mean_can_be_differentiated(networks, crops):
    gradient = jax.jit(jax.grad(lambda images: networks.age_gender(images)[0].sum()))(crops[:1])
    assert bool(jnp.isfinite(gradient).all())
    assert float(jnp.abs(gradient).max()) > 0


def test_second_load_reads_the_checkpoint_and_a_damaged_one_is_made_anew(
    monkeypatch, tmp_path, crops, networks
):
    source = fetch(FACE_API)
    monkeypatch.setenv("JAXEDIT_HOME", str(tmp_path))
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / source.name).symlink_to(source)
    FaceNetworks.from_pretrained()
    (folder,) = [p for p in (cache_dir() / "weights").iterdir() if p.is_dir()]
    assert read_metadata(folder)["kind"] == FACE_WEIGHTS.kind
    again = FaceNetworks.from_pretrained(folder)
    np.testing.assert_allclose(run(again.identity, crops), run(networks.identity, crops), atol=1e-5)
    (folder / "metadata.json").write_text(json.dumps({"format": "cut"})[:-3])
    FaceNetworks.from_pretrained()
    assert read_metadata(folder)["kind"] == FACE_WEIGHTS.kind


def test_folder_without_the_arrays_is_refused(tmp_path):
    config = {"mean_rgb": [0.0, 0.0, 0.0], "expressions": [], "genders": []}
    save_checkpoint(
        tmp_path / "x", kind=FACE_WEIGHTS.kind, config=config, arrays={"age_gender": {"x": np.zeros(1)}}
    )
    with pytest.raises(CheckpointError, match="conv_in"):
        FaceNetworks.from_pretrained(tmp_path / "x")
    with pytest.raises(CheckpointError, match="nothing"):
        FaceNetworks.from_pretrained(tmp_path / "absent")
