import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError, OutputError
from jaxedit.labels.config import LabelingConfig
from jaxedit.labels.labeling import label
from jaxedit.labels.labels_file import load_labels, save_labels
from jaxedit.latents.seed_stream import fingerprint, sample_w, sample_z
from tests.inversion.small_generator import small_generator


class Lightness:
    """A classifier of a user's own: no pytree, two columns."""

    names = ("lightness", "contrast")

    def __call__(self, images):
        return jnp.stack([images.mean((1, 2, 3)), images.std((1, 2, 3))], 1)


REQUEST = LabelingConfig(num_samples=10, seed=5, batch_size=2, shard_size=4)


def label_into(out, generator, classifier, **changes):
    request = dataclasses.replace(REQUEST, **changes)
    return label(generator, classifier, out, request, generator_name="mobile-stylegan-ffhq", progress=False)


@pytest.fixture(scope="module")
def small():
    return small_generator()


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("labels") / "whole"
    label_into(out, small, Lightness())
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_stream_is_frozen():
    z = sample_z(3, 5, 512, start=1022)
    # RandomState([seed, block]), blocks of 1024: numbers that no version of NumPy may change.
    np.testing.assert_allclose(
        z[:2, :2], np.random.RandomState([3, 0]).standard_normal((1024, 512))[1022:, :2]
    )
    np.testing.assert_allclose(z[2:, :2], np.random.RandomState([3, 1]).standard_normal((3, 512))[:, :2])
    np.testing.assert_allclose(sample_z(7, 1, 512)[0, :3], [-0.1000841, 0.25419962, -1.1552522], rtol=1e-6)
    assert abs(sample_z(0, 3000, 64).std() - 1) < 0.01


def test_values_are_those_of_the_images(small, folder):
    labels = load_labels(folder / "labels.npz")
    assert labels.attribute_names == ("lightness", "contrast")
    images = small.synthesis(small.mapping(jnp.asarray(sample_z(5, 10, small.z_dim))))
    np.testing.assert_allclose(labels.values, Lightness()(images), atol=1e-4)
    dataset = labels.with_latents(small)
    np.testing.assert_allclose(dataset.w, sample_w(small, 5, 10), atol=1e-5)
    assert len(dataset) == 10


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_files(generator, tmp_path):
    """With the default generator, whose images take long enough to be interrupted."""
    label_into(tmp_path / "whole", generator, Lightness())
    code = """
import sys
from jaxedit.pretrained.registry import load_generator
sys.path.insert(0, sys.argv[2])
from test_labeling import Lightness, label_into
label_into(sys.argv[1], load_generator("mobile-stylegan-ffhq"), Lightness())
"""
    out = tmp_path / "killed"
    for wanted in ("run.json", "shards/000000000.npz", "shards/000000004.npz"):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(out), str(Path(__file__).parent)],
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 120
        while not (out / wanted).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert not (out / "labels.npz").exists()
    finished = subprocess.run(
        [sys.executable, "-c", code, str(out), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    kept = {name: data for name, data in contents(out).items() if not name.endswith(".partial")}
    assert kept == contents(tmp_path / "whole")


def test_a_damaged_shard_is_made_again_and_a_folder_extended(small, folder, tmp_path):
    out = tmp_path / "extended"
    label_into(out, small, Lightness(), num_samples=5)
    (out / "shards" / "000000000.npz").write_bytes(b"PK damaged")
    label_into(out, small, Lightness())
    assert contents(out) == contents(folder)


def test_a_folder_of_an_earlier_version_is_read_and_extended(small, folder, tmp_path):
    out = tmp_path / "earlier"
    label_into(out, small, Lightness(), num_samples=8)
    expected = load_labels(out / "labels.npz")
    request = json.loads((out / "run.json").read_text())["request"]
    (out / "run.json").unlink()
    (out / "job.json").write_text(json.dumps(request, indent=2))
    for path in (
        *(out / "shards").iterdir(),
        out / "labels.npz",
    ):  # as they were before files named their kind
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files if name != "metadata"}
        np.savez(path, **arrays)
    for field, value in vars(load_labels(out / "labels.npz")).items():
        np.testing.assert_array_equal(value, getattr(expected, field))
    with pytest.raises(InputError, match="another seed: expected 6, found 5; give another folder"):
        label_into(out, small, Lightness(), seed=6)
    kept = (out / "shards" / "000000004.npz").read_bytes()
    label_into(out, small, Lightness())
    assert (out / "shards" / "000000004.npz").read_bytes() == kept
    for name in ("labels.npz", "run.json"):
        assert (out / name).read_bytes() == (folder / name).read_bytes()


def test_other_requests_and_folders_are_refused(small, folder, tmp_path):
    with pytest.raises(InputError, match="holds a run of labels with another seed: expected 6, found 5"):
        label_into(folder, small, Lightness(), seed=6)
    (tmp_path / "other.txt").write_text("")
    with pytest.raises(InputError, match="expected a new or empty folder"):
        label_into(tmp_path, small, Lightness())
    with pytest.raises(OutputError, match="could not write"):
        label_into(tmp_path / "other.txt" / "labels", small, Lightness())
    assert json.loads((folder / "run.json").read_text())["request"]["seed"] == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 3}, "shard_size: expected a multiple of the batch size 3, got 4"),
        ({"num_samples": 0}, "num_samples: expected 1 or more, got 0"),
        ({"batch_size": 0}, "batch_size: expected 1 or more, got 0"),
        ({"seed": -1}, "seed: expected 0…4294967295, got -1"),
    ],
)
def test_impossible_requests(changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(REQUEST, **changes)
    with pytest.raises(InputError, match="seed: expected"):
        sample_z(-1, 1, 8)


def test_a_classifier_that_gives_nan(small, tmp_path):
    class Broken(Lightness):
        def __call__(self, images):
            return super().__call__(images).at[1, 1].set(jnp.nan)

    with pytest.raises(InputError, match="expected finite values, got nan for contrast of latent 1"):
        label_into(tmp_path / "out", small, Broken())
    assert not (tmp_path / "out" / "labels.npz").exists()


def test_latents_that_were_not_labelled(small, folder, tmp_path):
    labels = load_labels(folder / "labels.npz")
    with pytest.raises(InputError, match="10 of 10 have another fingerprint"):
        dataclasses.replace(labels, seed=6).with_latents(small)
    shifted = dataclasses.replace(labels, w_fingerprint=np.roll(labels.w_fingerprint, 1))
    with pytest.raises(InputError, match="latents w of seed 5"):
        shifted.with_latents(small)
    assert fingerprint(np.eye(4, dtype=np.float32)).shape == (4,)
    assert labels.select(("contrast",)).values.shape == (10, 1)
    with pytest.raises(InputError, match="attribute 'age': expected one of lightness, contrast"):
        labels.select(("age",))
    path = save_labels(labels, tmp_path / "copy.npz")
    assert path.read_bytes() == (folder / "labels.npz").read_bytes()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04cut"])
def test_a_damaged_file(tmp_path, content):
    path = tmp_path / "labels.npz"
    with pytest.raises(InputError, match="found nothing"):
        load_labels(path)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"labels\.npz: expected a file of labels"):
        load_labels(path)
    np.savez(path, values=np.ones(3))
    with pytest.raises(InputError, match="found no attribute_names"):
        load_labels(path)
