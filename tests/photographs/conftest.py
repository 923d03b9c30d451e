"""Axes of a small generator, and a stand-in for the search of faces and latents."""

import dataclasses

import numpy as np
import pytest

from jaxedit.axes import AttributeAxes, AxesConfig, fit_pca, learn_axes
from jaxedit.labels.dataset import LabelledLatents
from tests.inversion.small_generator import small_generator
from tests.inversion.test_project_photos import StandIn, put_in_place


class PlacedFaces(StandIn):
    """As its base; the last pixel of a photograph is the detector's confidence, in hundredths."""

    def align(self, photo, size=1024, **options):
        score = float(photo.pixels[-1, -1, 0]) / 100
        nowhere = np.full((68, 2), np.nan)
        return [
            dataclasses.replace(face, score=score, landmarks=nowhere)
            for face in super().align(photo, size, **options)
        ]


@pytest.fixture
def stand_in(monkeypatch):
    return put_in_place(PlacedFaces(), monkeypatch)


@pytest.fixture(scope="session")
def small():
    return small_generator()


@pytest.fixture(scope="session")
def axes() -> AttributeAxes:
    w = np.random.RandomState(0).randn(600, 16).astype(np.float32)
    values = np.stack([170 + 7 * w[:, 0], w[:, 1]], 1)
    dataset = LabelledLatents(w, values, ("height", "smile"), ("cm", "logit"))
    config = AxesConfig(num_layers=1, hidden_width=16, num_steps=40, steps_per_chunk=40, batch_size=128)
    return learn_axes(dataset, fit_pca(w, 8), config, progress=False)
