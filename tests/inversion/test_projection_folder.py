import dataclasses
import json
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxedit.errors import InputError
from jaxedit.generators.protocol import weights_fingerprint
from jaxedit.generators.render import render
from jaxedit.images import to_uint8
from jaxedit.inversion import projection_folder as module
from jaxedit.inversion.align import AlignedFace
from jaxedit.inversion.config import ProjectionConfig, TuningConfig
from jaxedit.inversion.project import ProjectionResult
from jaxedit.inversion.projection_folder import (
    PhotoFolder,
    ProjectionSettings,
    load_delta,
    side_by_side,
)
from jaxedit.inversion.projection_problem import TERMS
from jaxedit.latents.latent_files import load_latent_file
from tests.inversion.small_generator import delta_of, small_generator

PHOTO = {"photo": "me.jpg", "sha256": "abc", "face": 1, "is_aligned": False, "num_faces": 1}
QUAD = np.asarray([[1, 2], [1, 66], [65, 66], [65, 2]], np.float64)


@pytest.fixture(scope="module")
def small():
    return small_generator()


@pytest.fixture(scope="module")
def settings(small):
    return ProjectionSettings.of(small, "cats", ProjectionConfig(num_steps=6, num_w_steps=2))


@pytest.fixture(scope="module")
def face():
    image = np.random.RandomState(0).randint(0, 256, (96, 96, 3)).astype(np.uint8)
    return AlignedFace(image, QUAD, np.ones((68, 2)), (1.0, 2.0, 65.0, 66.0), 0.9)


@pytest.fixture(scope="module")
def result(small):
    """As if two images had been sought, the second of which diverged after three steps."""
    w_plus = np.random.RandomState(1).randn(2, 10, 16).astype(np.float32)
    history = {name: np.linspace(2, 1, 12, dtype=np.float32).reshape(2, 6) for name in TERMS}
    return ProjectionResult(
        w_plus=w_plus,
        image=np.asarray(small.synthesis(jnp.asarray(w_plus))),
        loss_history=history | {"noise": np.zeros((2, 6), np.float32)},
        is_finite=np.asarray([True, False]),
        steps=np.asarray([6, 3]),
        noise=None,
        config=ProjectionConfig(num_steps=6, num_w_steps=2),
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory, settings, face, result):
    folder = PhotoFolder(tmp_path_factory.mktemp("written") / "me")
    folder.write_crop(face, PHOTO)
    folder.write_projection(settings, result, 0)
    return folder


@pytest.fixture
def projected(tmp_path, written):
    """A copy of the folder for each test."""
    shutil.copytree(written.path, tmp_path / "me")
    return PhotoFolder(tmp_path / "me")


def files(folder):
    return {path.name for path in folder.path.iterdir()}


def test_the_crop_comes_first(tmp_path, face):
    folder = PhotoFolder(tmp_path / "me")
    assert folder.is_free()
    assert folder.photo() is None
    folder.write_crop(face, PHOTO)
    assert files(folder) == {"aligned.png", "photo.json"}
    assert not folder.is_free()
    assert folder.owner() == ("abc", 1)
    photo = folder.photo()
    assert photo["quad"] == QUAD.tolist()
    assert photo["photo"] == "me.jpg"
    np.testing.assert_array_equal(folder.crop(), face.image)


def test_a_folder_is_owned_before_its_crop_is_there(tmp_path, face, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    folder = PhotoFolder(tmp_path / "me")
    monkeypatch.setattr(module, "save_image", killed)
    with pytest.raises(KeyboardInterrupt):
        folder.write_crop(face, PHOTO)
    assert folder.owner() == ("abc", 1)
    assert folder.photo() is None


def test_all_files_of_a_projection(projected, settings, result, small):
    names = {"aligned.png", "photo.json", "reconstruction.png", "comparison.png", "loss.png", "latent.npz"}
    assert files(projected) == names
    assert projected.finished(settings) is None
    latent = projected.latent(settings)
    np.testing.assert_array_equal(latent.of(small)[0], result.w_plus[0])
    assert latent.generator == "cats"
    with np.load(projected.path / "latent.npz") as file:
        np.testing.assert_array_equal(file["quad"], QUAD)
        assert file["w_plus"].dtype == np.float32
        assert json.loads(str(file["metadata"]))["projection"]["config"]["num_steps"] == 6
    with Image.open(projected.path / "comparison.png") as image:
        assert image.size == (128, 64)  # at the size of the smaller one
        np.testing.assert_array_equal(np.asarray(image)[:, 64:], to_uint8(jnp.asarray(result.image[0])))

    metrics = projected.finish(settings, progress=False)
    assert files(projected) == names | {"metrics.json"}
    assert metrics == projected.finished(settings)
    assert metrics["metrics"].keys() == {"lpips", "psnr", "psnr_256"}
    assert (metrics["is_finite"], metrics["steps"]) == (True, 6)


def test_noise_images_are_kept_and_shown(tmp_path, settings, face, result, small):
    random = np.random.RandomState(2)
    noise = {
        name: random.randn(2, *image.shape).astype(np.float32) for name, image in small.const_noise().items()
    }
    w_plus = jnp.asarray(result.w_plus)
    images = small.synthesis(w_plus, noise={name: jnp.asarray(image) for name, image in noise.items()})
    assert float(jnp.abs(images - result.image).mean()) > 0.01
    folder = PhotoFolder(tmp_path / "me")
    folder.write_crop(face, PHOTO)
    folder.write_projection(settings, dataclasses.replace(result, noise=noise, image=np.asarray(images)), 1)
    latent = folder.latent(settings)
    shown = render(small, latent.of(small), latent.noise_of(small)).astype(int)
    with Image.open(tmp_path / "me" / "reconstruction.png") as image:
        np.testing.assert_allclose(np.asarray(image), shown, atol=1)


def in_earlier_form(folder):
    """A folder as versions wrote it that said is_good and optimise_noise."""
    with np.load(folder.path / "latent.npz") as file:
        arrays = dict(file)
    latent = load_latent_file(folder.path)
    about = dict(latent.about)
    about["is_good"] = about.pop("is_finite")
    metrics = json.loads((folder.path / "metrics.json").read_text())
    metrics["is_good"] = metrics.pop("is_finite")
    for described in (about, metrics):
        config = described["projection"]["config"]
        config["optimise_noise"] = config.pop("optimize_noise")
    np.savez(
        folder.path / "latent.npz",
        w_plus=arrays["w_plus"],
        quad=arrays["quad"],
        about=np.asarray(json.dumps(about)),
    )
    (folder.path / "metrics.json").write_text(json.dumps(metrics))


def test_a_folder_of_an_earlier_version_is_finished(projected, settings):
    metrics = projected.finish(settings, progress=False)
    in_earlier_form(projected)
    assert "is_finite" not in (projected.path / "metrics.json").read_text()
    assert projected.finished(settings) == metrics
    other = dataclasses.replace(settings, config=dataclasses.replace(settings.config, optimize_noise=True))
    assert projected.finished(other) is None
    # Killed before its metrics were written.
    (projected.path / "metrics.json").unlink()
    assert projected.finish(settings, progress=False)["is_finite"] is True


def test_a_diverged_one_says_so(tmp_path, settings, face, result):
    folder = PhotoFolder(tmp_path / "me")
    folder.write_crop(face, PHOTO)
    folder.write_projection(settings, result, 1)
    metrics = folder.finish(settings, progress=False)
    assert (metrics["is_finite"], metrics["steps"]) == (False, 3)


@pytest.mark.parametrize("change", ["config", "weights"])
def test_other_settings_are_not_done(projected, settings, change):
    projected.finish(settings, progress=False)
    other = {"config": ProjectionConfig(num_steps=7, num_w_steps=2), "weights": "0"}[change]
    other_settings = dataclasses.replace(settings, **{change: other})
    assert projected.latent(other_settings) is None
    assert projected.finished(other_settings) is None
    with pytest.raises(InputError, match="projection with these settings"):
        projected.finish(other_settings, progress=False)


@pytest.mark.parametrize("name", ["latent.npz", "metrics.json", "reconstruction.png", "comparison.png"])
def test_a_missing_file_is_not_done(projected, settings, name):
    projected.finish(settings, progress=False)
    (projected.path / name).unlink()
    assert projected.finished(settings) is None


@pytest.mark.parametrize("name", ["photo.json", "aligned.png"])
@pytest.mark.parametrize("content", [b"", b"[1]", b'{"quad": [1, "x"]}', b'{"quad": [[1, 2]]}'])
def test_a_damaged_crop_counts_as_none(projected, name, content):
    (projected.path / name).write_bytes(content)
    assert projected.photo() is None


@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", b'{"metrics": 1}'])
def test_damaged_metrics_are_not_done(projected, settings, content):
    (projected.path / "metrics.json").write_bytes(content)
    assert projected.finished(settings) is None


def test_only_another_crop_puts_an_end_to_latent_and_metrics(projected, settings, face):
    projected.finish(settings, progress=False)
    projected.write_crop(face, PHOTO | {"num_faces": 2})
    assert projected.finished(settings) is not None
    assert projected.photo()["num_faces"] == 2
    projected.write_crop(dataclasses.replace(face, image=255 - face.image), PHOTO)
    assert projected.latent(settings) is None
    assert projected.finished(settings) is None


def test_a_tuning_is_kept_until_the_next_projection(projected, settings, small, result, face, monkeypatch):
    given = {}

    def tune(generator, image, w_plus, config, *, progress):
        given.update(image=image, w_plus=w_plus)
        return delta_of(generator)

    monkeypatch.setattr(module, "tune", tune)
    tuned_settings = dataclasses.replace(settings, tuning=TuningConfig(num_steps=3))
    projected.finish(settings, progress=False)
    assert projected.finished(tuned_settings) is None
    metrics = projected.finish(tuned_settings, progress=False)
    np.testing.assert_array_equal(given["image"], face.image)
    np.testing.assert_array_equal(given["w_plus"], result.w_plus[0])
    assert metrics["tuned_metrics"] != metrics["metrics"]
    assert projected.finished(tuned_settings) == metrics
    assert projected.finished(settings) == metrics  # more than was asked for
    latent = load_latent_file(projected.path)
    tuned = load_delta(latent).apply(small)
    with Image.open(projected.path / "tuned.png") as image:
        np.testing.assert_array_equal(np.asarray(image), render(tuned, latent.of(small)))
    with Image.open(projected.path / "comparison.png") as image:
        assert image.size == (192, 64)
    projected.write_projection(settings, result, 1)
    assert not files(projected) & {"delta.npz", "tuned.png", "metrics.json"}
    assert load_delta(load_latent_file(projected.path)) is None


def test_fingerprint_changes_with_any_weight(small):
    assert weights_fingerprint(small) == weights_fingerprint(small_generator())
    assert weights_fingerprint(small) != weights_fingerprint(small_generator(1))


def test_images_of_different_sizes_side_by_side():
    small, large = np.zeros((8, 8, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)
    both = side_by_side(small, large, small)
    assert both.shape == (8, 24, 3)
    np.testing.assert_array_equal(both[:, 8:16], 255)
    np.testing.assert_array_equal(both[:, 16:], 0)
