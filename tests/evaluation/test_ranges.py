"""Ranges of axes of the toy generator, whose readings are known."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.attributes.person.places import FacePlaces
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.cli.edited_values import beyond_range
from jaxedit.errors import InputError
from jaxedit.evaluation.ranges import (
    RangeConfig,
    RangeNetworks,
    _end,
    describe_ranges,
    measure_ranges,
    with_ranges,
)
from tests.attributes.person.fakes import LeftHalf

CONFIG = RangeConfig(amounts=(0.5, 1.0, 2.0, 3.0), faces=4, truncation_psi=0.3, extreme=9.0)


class Saturating:
    """Red as it is up to about one standard deviation, where it stops; the others as they are."""

    names = ("red", "green", "blue")

    def __call__(self, images):
        colors = 10 * images.mean((1, 2))
        return colors.at[:, 0].set(jnp.minimum(colors[:, 0], 1.2))


class Broken:
    """Images break where green is far up."""

    names = ("flaw",)

    def __call__(self, images):
        return 10 * images.mean((1, 2))[:, 1:2] * 20 - 30


def blue_is_identity(images):
    return 2.5 * images.mean((1, 2))[:, 2:]


@pytest.fixture(scope="module")
def measured(toy, toy_axes, tmp_path_factory):
    run = tmp_path_factory.mktemp("ranges") / "run"
    networks = RangeNetworks(Saturating(), identity=blue_is_identity, flaw=Broken())
    return measure_ranges(toy, toy_axes, networks, CONFIG, out=run, progress=False), run, networks


def test_each_limit_ends_a_range(measured):
    found, _, _ = measured
    assert (found["red"].down, found["red"].ended_down) == (-3.0, "")
    assert found["red"].up in (1.0, 2.0) and found["red"].ended_up == "target"
    assert (found["green"].down, found["green"].up, found["green"].ended_up) == (-3.0, 1.0, "flaw")
    # A step is 0.25 of identity; the limit is 0.6.
    assert (found["blue"].down, found["blue"].up) == (-2.0, 2.0)
    assert (found["blue"].ended_down, found["blue"].ended_up) == ("identity", "identity")
    assert "red" in describe_ranges(found) and "target" in describe_ranges(found)


class SeesFlaws(Saturating):
    """The same classifier, which sees flaws itself."""

    names = (*Saturating.names, "flaw")

    def __call__(self, images):
        return jnp.concatenate([super().__call__(images), Broken()(images)], axis=1)


def test_what_appears_all_at_once_is_usable_until_it_stays(toy):
    amounts = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
    worn = {"target": np.array([0.0, 0.05, 0.8, 1.1, 1.12])}
    assert _end(amounts, worn, RangeConfig()) == (1.5, "target")
    assert _end(amounts, {"target": np.array([0.0, 0.4, 0.45, 0.9, 1.3])}, RangeConfig()) == (0.5, "target")


def test_flaws_may_be_an_attribute_of_the_classifier(toy, toy_axes, measured):
    networks = RangeNetworks(SeesFlaws())
    found = measure_ranges(toy, toy_axes, networks, CONFIG, attributes=("green",), progress=False)["green"]
    apart = measured[0]["green"]
    assert (found.down, found.up, found.ended_up) == (apart.down, apart.up, "flaw")
    np.testing.assert_allclose(found.readings["flaw"], apart.readings["flaw"], atol=1e-6)


def test_what_no_face_has_ends_a_range(toy, toy_axes, classifier):
    config = RangeConfig(amounts=(1.0, 2.0, 4.0), faces=4, truncation_psi=0.0)
    found = measure_ranges(
        toy, toy_axes, RangeNetworks(classifier), config, attributes=("red",), progress=False
    )
    assert (found["red"].down, found["red"].ended_down) == (-2.0, "extreme")
    assert (found["red"].up, found["red"].ended_up) == (2.0, "extreme")


def test_a_run_resumes(toy, toy_axes, measured):
    found, run, networks = measured
    units = sorted((run / "readings").glob("*.npz"))
    assert len(units) == 3
    kept = units[0].stat().st_mtime_ns
    units[1].write_bytes(b"damaged")
    again = measure_ranges(toy, toy_axes, networks, CONFIG, out=run, progress=False)
    assert units[0].stat().st_mtime_ns == kept
    assert [(x.down, x.up) for x in again.values()] == [(x.down, x.up) for x in found.values()]
    # Readings without flaws are not taken for readings of sound images.
    with pytest.raises(InputError, match="networks"):
        measure_ranges(toy, toy_axes, dataclasses.replace(networks, flaw=None), CONFIG, out=run)


def test_axes_keep_their_ranges(toy_axes, measured, tmp_path):
    found, _, _ = measured
    assert toy_axes.range("red") is None
    axes = with_ranges(toy_axes, {name: found[name] for name in ("green", "blue")})
    again = AttributeAxes.load(axes.save(tmp_path / "axes"))
    assert again.range("red") is None and again.range("green") == (-3.0, 1.0)
    with pytest.raises(InputError, match="attribute 'hat': expected one of red, green, blue"):
        again.range("hat")
    assert beyond_range(again, "green", 1.0) is None and beyond_range(again, "red", 9.0) is None
    assert "green=+1.5 lies beyond the usable range −3 … +1" in beyond_range(again, "green", 1.5)
    np.testing.assert_array_equal(again.edit(np.zeros((1, 6), np.float32), {"green": 1.5}).shape, (1, 6))


def test_what_cannot_be_measured_is_refused(toy, toy_axes, classifier):
    networks = RangeNetworks(classifier, flaw=classifier)
    with pytest.raises(InputError, match="flaw: expected a classifier with 'flaw', got red, green, blue"):
        measure_ranges(toy, toy_axes, networks, CONFIG)
    with pytest.raises(InputError, match="attribute 'hat': expected one of red, green, blue"):
        measure_ranges(toy, toy_axes, networks, CONFIG, attributes=("hat",))
    with pytest.raises(InputError, match="amounts: expected rising numbers above 0"):
        RangeConfig(amounts=(1.0, 0.5))


def test_the_command_writes_ranges_into_the_axes(run, toy, toy_axes, monkeypatch, tmp_path):
    monkeypatch.setattr("jaxedit.pretrained.registry.load_generator", lambda name: toy)
    toy_axes.save(tmp_path / "axes")
    (tmp_path / "colors.py").write_text(
        "class Colors:\n    names = ('red', 'green', 'blue')\n"
        "    def __call__(self, images):\n        return 10 * images.mean((1, 2))\n"
    )
    options = ("-g", "toy", "--classifier", f"{tmp_path / 'colors.py'}:Colors", "--faces", 2)
    out = tmp_path / "ranges.json"
    code, printed, err = run("ranges", tmp_path / "axes", *options, "--attributes", "red", "--out", out)
    assert code == 0, err
    assert "red" in printed and set(json.loads(out.read_text())) == {"red"}
    down, up = AttributeAxes.load(tmp_path / "axes").range("red")
    assert down <= -2 and up >= 2
    code, printed, err = run("info", tmp_path / "axes")
    assert code == 0 and f"{down:+g} … {up:+g}".replace("-", "−") in printed and "usable range" in printed
    asked = []
    monkeypatch.setattr(FacePlaces, "from_pretrained", lambda: asked.append(1) or LeftHalf())
    code, printed, err = run("ranges", tmp_path / "axes", *options, "--attributes", "red", "--where", "place")
    assert code == 0 and "red" in printed and asked, err
    code, _, err = run("ranges", *options, "--out", out, "--where", "person")
    assert code == 2 and "--where: expected place or everywhere, got person" in err
    code, _, err = run("ranges", *options)
    assert code == 2 and "expected a folder of axes, or --out" in err
