"""The command refine; `tests/docs/test_refining_axes.py` runs it whole."""

import numpy as np
import pytest

from jaxedit.axes.layer_curves import load_layer_curves, save_layer_curves
from jaxedit.pretrained.refinement import load_refinement
from jaxedit.pretrained.registry import load_axes


def test_what_is_missing_is_told(run, tmp_path):
    (tmp_path / "cats").mkdir()
    generator = ("refine", "--generator", tmp_path / "cats", "--out", tmp_path / "out")
    code, _, error = run(*generator)
    assert code == 2
    assert "--axes: expected the folder of axes of" in error
    code, _, error = run(*generator, "--axes", tmp_path / "axes")
    assert code == 2
    assert "--classifier: expected FILE.py:NAME for" in error


def test_wrong_settings_are_told(run, tmp_path):
    start = ("refine", "--out", tmp_path / "out")
    for arguments, text in (
        (("--num-latents", 2), "num_latents: expected 160 or more, got 2"),
        (("--num-images", 0), "num_images: expected 1 or more, got 0"),
        (("--attributes", "hat", "--num-images", 8), "got 'hat'"),
    ):
        code, _, error = run(*start, *arguments)
        assert (code, text in error) == (2, True), error
    assert not (tmp_path / "out").exists()


def test_the_shipped_settings_are_those_of_the_shipped_curves():
    axes = load_axes("mobile-stylegan-ffhq")
    config = load_refinement("mobile-stylegan-ffhq", axes.attribute_names).config
    assert config.names() <= set(axes.attribute_names)
    np.testing.assert_array_equal(config.groups, axes.curves.group_of_layer)
    for index, name in enumerate(axes.attribute_names):
        np.testing.assert_allclose(axes.curves.ends[index], config.ends.get(name, (-2, 2)), rtol=1e-3)
        np.testing.assert_allclose(axes.curves.slopes[index], config.slopes[name], rtol=1e-3)


def test_curves_go_to_a_file_and_back(tmp_path):
    axes = load_axes("mobile-stylegan-ffhq")
    path = save_layer_curves(tmp_path / "curves.npz", axes.curves, axes.attribute_names, axes.pca)
    again = load_layer_curves(path, axes.attribute_names[::-1], axes.pca)
    for name in ("tangents", "curvatures"):
        was, found = getattr(axes.curves, name), getattr(again, name)[::-1]
        assert float(abs(found - was).max()) < 1e-3 * float(abs(was).max())
    np.testing.assert_array_equal(again.ends[::-1], axes.curves.ends)
    np.testing.assert_array_equal(again.slopes[::-1], axes.curves.slopes)
    assert path.stat().st_size < 15_000 * len(axes.attribute_names)


@pytest.mark.parametrize("name", ["cats", "mobile-stylegan"])
def test_unknown_generators_have_no_settings(name):
    with pytest.raises(Exception, match=f"refinement '{name}': expected one of mobile-stylegan-ffhq"):
        load_refinement(name)
