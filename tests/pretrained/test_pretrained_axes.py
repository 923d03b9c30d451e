import threading

import numpy as np
import pytest

from jaxedit.axes import AxesConfig
from jaxedit.errors import CheckpointError, InputError
from jaxedit.pretrained import registry


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """A cache of axes of its own, and few steps of training."""
    monkeypatch.setattr(registry, "checkpoint_folder", lambda name: tmp_path / "checkpoints" / name)
    monkeypatch.setattr(registry, "AxesConfig", lambda: AxesConfig(num_steps=4))
    learnt = []
    learn = registry.learn_axes

    def counted(*arguments, **options):
        learnt.append(None)
        return learn(*arguments, **options)

    monkeypatch.setattr(registry, "learn_axes", counted)
    return learnt


def test_axes_of_a_known_generator_are_learnt_once(quick, tmp_path):
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(registry.load_axes("mobile-stylegan-ffhq", progress=False))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.append(registry.load_axes("mobile-stylegan-ffhq"))
    assert len(quick) == 1
    w = np.asarray(found[0].pca.mean)[None]
    for axes in found:
        np.testing.assert_array_equal(axes.edit(w, {"age": 1.0}), found[0].edit(w, {"age": 1.0}))

    (folder,) = (path for path in (tmp_path / "checkpoints").iterdir() if path.is_dir())
    from_folder = registry.load_axes(folder)
    assert from_folder.attribute_names == found[0].attribute_names

    # Damaged: learnt anew.
    (folder / "metadata.json").write_text("{")
    with pytest.raises(CheckpointError):
        registry.load_axes(folder)
    registry.load_axes("mobile-stylegan-ffhq", progress=False)
    assert len(quick) == 2


def test_unknown_names():
    with pytest.raises(InputError, match=r"cats.*mobile-stylegan-ffhq"):
        registry.load_axes("cats")
