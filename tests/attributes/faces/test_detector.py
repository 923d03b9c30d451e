import io
import json
import tarfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage
from PIL import Image

from jaxedit.attributes.faces.detector import FaceDetector, choose_boxes, overlaps
from jaxedit.attributes.faces.networks import FaceNetworks
from jaxedit.attributes.faces.pretrained import FACE_WEIGHTS
from jaxedit.errors import CheckpointError, InputError
from jaxedit.nn.resize import resize_bilinear_tfjs
from jaxedit.storage.checkpoints import save_checkpoint
from jaxedit.storage.download import FACE_API, fetch

FIXTURES = Path(__file__).parents[2] / "fixtures"
RECORDED = json.loads((FIXTURES / "face_detector_reference.json").read_text())
"""Boxes (left, top, right, bottom in pixels) and scores above 0.3 of the original in TensorFlow.js."""


detect = jax.jit(lambda detector, squares: detector(squares))


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector.from_pretrained()


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    """Two images of scikit-image, and the samples that the original comes with."""
    files = {"astronaut": skimage.data.astronaut(), "coffee": skimage.data.coffee()}
    with tarfile.open(fetch(FACE_API)) as archive:
        for i in range(1, 7):
            data = archive.extractfile(f"package/demo/sample{i}.jpg").read()
            files[f"sample{i}"] = np.asarray(Image.open(io.BytesIO(data)))
    return files


@pytest.mark.parametrize("entry", RECORDED, ids=lambda entry: f"{entry['image']}-{entry['input_size']}")
def test_boxes_and_scores_agree_with_the_original(detector, images, entry):
    image, size = images[entry["image"]], entry["input_size"]
    height, width = image.shape[:2]
    side = max(height, width)
    x = jnp.asarray(image, jnp.float32) / 127.5 - 1
    x = jnp.pad(x, ((0, side - height), (0, side - width), (0, 0)), constant_values=-1.0)
    boxes, scores = jax.tree.map(np.asarray, detect(detector, resize_bilinear_tfjs(x[None], size)))
    chosen = choose_boxes(boxes[0], scores[0], score_threshold=0.3)
    assert len(chosen) == len(entry["faces"])
    np.testing.assert_allclose(scores[0][chosen], [face["score"] for face in entry["faces"]], atol=1e-4)
    # The original rounds the scaled sides to whole pixels before it scales back.
    scale = [length * size / int(length * size / side + 0.5) for length in (width, height)] * 2
    expected = np.asarray([face["box"] for face in entry["faces"]]).reshape(-1, 4)
    np.testing.assert_allclose(boxes[0][chosen] * scale, expected, atol=0.02)


def test_the_recorded_images_show_faces_and_none(detector):
    found = {entry["image"]: len(entry["faces"]) for entry in RECORDED}
    assert found["coffee"] == 0
    assert found["astronaut"] == 1
    assert sum(found.values()) > 20


def test_batches_agree_with_single_images(detector, images):
    crops = jnp.asarray(np.stack([images["astronaut"][:224, i : i + 224] for i in (0, 100)]), jnp.float32)
    boxes, scores = detect(detector, crops / 127.5 - 1)
    assert boxes.shape == (2, 7 * 7 * 5, 4)
    for i in range(2):
        one_boxes, one_scores = detect(detector, crops[i : i + 1] / 127.5 - 1)
        np.testing.assert_allclose(boxes[i], one_boxes[0], atol=1e-5)
        np.testing.assert_allclose(scores[i], one_scores[0], atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 400, 400, 3), (1, 416, 384, 3), (1, 0, 0, 3)])
def test_other_sizes_are_refused(detector, shape):
    with pytest.raises(InputError, match="multiple of 32"):
        detector(jnp.zeros(shape))


def test_of_boxes_that_overlap_the_surest_stays():
    boxes = np.asarray([[0, 0, 10, 10], [1, 0, 11, 10], [8, 0, 18, 10], [0, 0, 10, 10]], np.float32)
    scores = np.asarray([0.6, 0.9, 0.7, 0.2], np.float32)
    assert choose_boxes(boxes, scores) == [1, 2]
    assert choose_boxes(boxes, scores, overlap_threshold=0.85) == [1, 2, 0]
    assert choose_boxes(boxes, scores, score_threshold=0.95) == []
    np.testing.assert_allclose(overlaps(boxes[0], boxes), [1, 9 / 11, 2 / 18, 1])


def test_folder_without_the_detector_is_refused_by_it_alone(tmp_path):
    config = {"detector": {"mean_rgb": [0.0, 0.0, 0.0], "anchors": [[1.0, 1.0]]}}
    save_checkpoint(
        tmp_path / "x", kind=FACE_WEIGHTS.kind, config=config, arrays={"age_gender": {"x": np.zeros(1)}}
    )
    with pytest.raises(CheckpointError, match="detector"):
        FaceDetector.from_pretrained(tmp_path / "x")
    with pytest.raises(CheckpointError, match="mean_rgb"):
        FaceNetworks.from_pretrained(tmp_path / "x")
