import dataclasses
import hashlib
import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.images import save_image
from jaxedit.inversion import cached_projection as module
from jaxedit.inversion.align import AlignedFace
from jaxedit.inversion.cached_projection import project_cached
from jaxedit.inversion.config import ProjectionConfig, TuningConfig
from jaxedit.inversion.photo import Photo
from jaxedit.inversion.project import ProjectionResult
from jaxedit.inversion.project_photos import PhotoProjectionConfig
from jaxedit.inversion.projection_folder import PhotoFolder, ProjectionSettings
from jaxedit.inversion.projection_problem import TERMS
from tests.inversion.small_generator import small_generator
from tests.inversion.test_projection_folder import in_earlier_form

CONFIG = ProjectionConfig(num_steps=6, num_w_steps=2)


@pytest.fixture(scope="module")
def small():
    return small_generator()


def a_projection(small, photo, path):
    """As if the photograph, which is its own crop, had been projected."""
    quad = np.asarray([[0, 0], [0, 64], [64, 64], [64, 0]], np.float64)
    face = AlignedFace(photo.pixels, quad, np.ones((68, 2)), (0.0, 0.0, 64.0, 64.0), 0.9)
    w_plus = np.random.RandomState(1).randn(1, 10, 16).astype(np.float32)
    result = ProjectionResult(
        w_plus=w_plus,
        image=np.asarray(small.synthesis(jnp.asarray(w_plus))),
        loss_history={name: np.ones((1, 6), np.float32) for name in TERMS},
        is_finite=np.asarray([True]),
        steps=np.asarray([6]),
        noise=None,
        config=CONFIG,
    )
    folder, settings = PhotoFolder(path), ProjectionSettings.of(small, "cats", CONFIG)
    folder.write_crop(face, {"photo": "me.png", "sha256": photo.sha256, "face": 1, "num_faces": 1})
    folder.write_projection(settings, result, 0)
    folder.finish(settings, progress=False)
    return folder


def test_what_an_earlier_version_stored_is_found(small, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(module, "project_photos", lambda *_, **__: pytest.fail("projected again"))
    pixels = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    photo = Photo(save_image(pixels, tmp_path / "me.png"))
    settings = dataclasses.asdict(CONFIG)
    del settings["encoder_passes"], settings["coordinates"]  # which it did not know
    settings["optimise_noise"] = settings.pop("optimize_noise")
    weights = ProjectionSettings.of(small, "cats", CONFIG).weights
    content = json.dumps([photo.sha256, weights, settings], sort_keys=True)
    key = hashlib.sha256(content.encode()).hexdigest()[:24]
    stored = a_projection(small, photo, tmp_path / "cache" / "projections" / key / "me")
    in_earlier_form(stored)
    assert (
        project_cached(
            photo.path, small, generator_name="cats", config=PhotoProjectionConfig(CONFIG), progress=False
        )
        == stored
    )


def test_a_tuned_projection_is_kept_apart(small, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "cache_dir", lambda: tmp_path / "cache")
    asked = []

    def fail(photos, out, generator, config, **_):
        asked.append((out, config.tuning))
        raise InputError("no face")

    monkeypatch.setattr(module, "project_photos", fail)
    pixels = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    photo = save_image(pixels, tmp_path / "me.png")
    for tuning in (None, TuningConfig.fine(), TuningConfig.fast(), TuningConfig.fine()):
        with pytest.raises(InputError, match="no face"):
            project_cached(
                photo,
                small,
                generator_name="cats",
                config=PhotoProjectionConfig(CONFIG, tuning),
                progress=False,
            )
    folders, tunings = zip(*asked, strict=True)
    assert tunings == (None, TuningConfig.fine(), TuningConfig.fast(), TuningConfig.fine())
    assert folders[1] == folders[3] and len(set(folders)) == 3
