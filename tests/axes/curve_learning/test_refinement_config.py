"""Settings of a refinement, and curves that are kept, stretched or gone on from."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.axes.curve_learning.config import RefinementConfig
from jaxedit.axes.curve_learning.refine import refine_axes
from jaxedit.errors import InputError
from jaxedit.latents.seed_stream import sample_w
from tests.axes.curve_learning.test_refine import LOOKS, TINY


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"num_latents": 1}, "num_latents: expected 160 or more, got 1"),
        ({"num_images": 0}, "num_images: expected 1 or more, got 0"),
        ({"images_per_update": 3}, "images_per_update: expected an even number, got 3"),
        ({"method": "magic"}, "method: expected 'gradients' or 'regression', got 'magic'"),
        ({"ends": {"age": [1, 2]}}, "ends of 'age': expected one below and one above zero"),
        ({"slopes": {"age": 2.0}}, r"slope of 'age': expected a number in \(0, 1\], got 2.0"),
        ({"far": {"age": [0, 1]}}, "far amounts of 'age': expected two positive numbers"),
        ({"gains": {"age": [1, 0]}}, r"gains of 'age': expected two numbers in \(0, 4\], got \(1.0, 0.0\)"),
        ({"faces": 3}, "refinement config: expected some of .*, got 'faces'"),
        ({"loss": {"kappa": 3}}, "refinement config: .*kappa"),
        ({"ends": {"age": 3}}, "refinement config: "),
    ],
)
def test_wrong_settings_are_refused(settings, match):
    with pytest.raises(InputError, match=match):
        RefinementConfig.from_dict(settings)


def test_settings_go_to_json_and_back(tmp_path):
    config = RefinementConfig(
        attributes=("a",), held=("a", "b"), groups=(0, 1), ends={"a": (-1.0, 2.0)}, far={"b": (1.0, 2.0)},
        gains={"a": (1.0, 1.5)}, continued=("a",), in_layers={"b": (0, 2)}, within_layers={"a": (0, 4)},
    )  # fmt: skip
    assert RefinementConfig.from_dict(config.as_dict()) == config
    assert RefinementConfig.from_dict({}) == RefinementConfig()
    assert config.restricted(["b"]).held == ("b",)
    assert config.restricted(["b"]).ends == config.restricted(["b"]).gains == {}
    assert config.restricted(["b"]).continued == ()
    assert config.names() == {"a", "b"}
    for text in ("[]", "{", '{"seed": -1}'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(InputError, match=r"config.json: "):
            RefinementConfig.load(tmp_path / "config.json")
    with pytest.raises(InputError, match=r"absent.json: expected a JSON file"):
        RefinementConfig.load(tmp_path / "absent.json")


def test_an_attribute_of_shape_keeps_its_path_in_some_layers(small, plain):
    config = dataclasses.replace(
        TINY, attributes=("left", "warmth"), in_layers={"left": (0, 4), "warmth": (0, 2)}, num_calibrations=0
    )
    refined = refine_axes(small, plain, LOOKS, config, progress=False)  # nothing is left to descend
    w = sample_w(small, 5, 4)
    for name, (_, end) in config.in_layers.items():
        moved = np.asarray(refined.edit(w, {name: 0.5}) - refined.edit(w, {}))
        in_w = np.asarray(plain.edit(w, {name: 0.5})) - w
        assert np.abs(moved[:, end:]).max() < 1e-6
        alike = (moved[:, 0] * in_w).sum(1) / (
            np.linalg.norm(moved[:, 0], axis=1) * np.linalg.norm(in_w, axis=1)
        )
        assert alike.min() > 0.9
        np.testing.assert_array_equal(moved[:, 0], moved[:, end - 1])
    with pytest.raises(InputError, match=r"layers of 'left': expected whole groups of the 8 layers"):
        refine_axes(small, plain, LOOKS, dataclasses.replace(TINY, in_layers={"left": (0, 3)}))
    with pytest.raises(InputError, match=r"layers of 'left': expected the first layer"):
        dataclasses.replace(TINY, in_layers={"left": (4, 4)})


def test_a_gain_stretches_a_curve(small, plain):
    config = dataclasses.replace(
        TINY, attributes=("warmth",), in_layers={"warmth": (0, 2)}, num_calibrations=0
    )
    one = refine_axes(small, plain, LOOKS, config, progress=False)
    longer = dataclasses.replace(config, gains={"warmth": (2.0, 2.0)})
    two = refine_axes(small, plain, LOOKS, longer, progress=False)
    w = jnp.asarray(sample_w(small, 5, 4))
    moved, twice = (np.asarray(a.edit(w, {"warmth": x}) - w[:, None]) for a, x in ((two, 0.5), (one, 1.0)))
    ratio = np.linalg.norm(moved) / np.linalg.norm(twice)
    assert 0.9 < ratio < 1.1, ratio
    at_one = np.asarray(two.curves.tangents[0] + (2**0.5 - 1) * two.curves.curvatures[0])
    at_two = np.asarray(2 * one.curves.tangents[0] + (5**0.5 - 1) * one.curves.curvatures[0])
    np.testing.assert_allclose(at_one, at_two, atol=1e-5)


def test_shapes_are_measured_and_a_learned_curve_may_move_some_layers_alone(small, plain, tmp_path):
    shapes = {"left": (0, 4), "warmth": (0, 2)}
    config = dataclasses.replace(
        TINY, attributes=("left", "warmth", "contrast"), in_layers=shapes, within_layers={"contrast": (4, 8)},
        num_images=2, num_calibrations=1, held=("left", "warmth"),
    )  # fmt: skip
    out = tmp_path / "run"
    refined = refine_axes(small, plain, LOOKS, config, out=out, progress=False)
    units = sorted(path.name for path in (out / "shapes").iterdir())
    assert [u for u in units if u.endswith(".npz")] == ["000-up.npz", "002-up.npz"]
    w = jnp.asarray(sample_w(small, 5, 4))
    moved = np.asarray(refined.edit(w, {"contrast": 1.0}) - refined.edit(w, {}))
    assert np.abs(moved[:, :4]).max() < 1e-6 < np.abs(moved[:, 4:]).max()
    # The shape of two layers may lend itself to the one of four, and back.
    moved = np.asarray(refined.edit(w, {"left": 0.5}) - refined.edit(w, {}))
    assert np.abs(moved[:, 4:]).max() < 1e-6 < np.abs(moved[:, 2:4]).max()


def test_a_descent_goes_on_from_the_curves_that_are_there(small, plain, tmp_path):
    first = refine_axes(small, plain, LOOKS, TINY, progress=False)
    config = dataclasses.replace(
        TINY,
        attributes=("left",),
        continued=("left",),
        held=("warmth", "left"),
        num_images=2,
        num_calibrations=1,
    )
    out = tmp_path / "run"
    further = refine_axes(small, first, LOOKS, config, out=out, progress=False)
    anew = refine_axes(small, first, LOOKS, dataclasses.replace(config, continued=()), progress=False)
    former, found, other = (np.asarray(a.curves.tangents[2]) for a in (first, further, anew))

    def angle(a, b):
        return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))

    assert angle(former, found) > 0.9 > angle(former, other)
    # A held attribute with a curve that stays takes part in the calibration.
    assert (out / "calibration" / "kept-000-up.npz").exists()
    np.testing.assert_array_equal(further.curves.tangents[0], first.curves.tangents[0])
    with pytest.raises(
        InputError, match="continued: expected axes with curves, got none to go on from for 'left'"
    ):
        refine_axes(small, plain, LOOKS, config, progress=False)
