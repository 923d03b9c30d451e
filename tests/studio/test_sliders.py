"""Sliders in the units of their attributes."""

import dataclasses

import numpy as np
import pytest

from jaxedit.attributes.slider_groups import GROUPS, OWN_GROUP, group_of, in_order
from jaxedit.studio.drawing import change_notes
from jaxedit.studio.sliders import FaceScale


@pytest.fixture(scope="module")
def scale(small_axes, small_dataset):
    return FaceScale.of(small_axes, np.asarray(small_dataset.w[:1]))


def test_each_attribute_has_a_slider_with_a_unit_and_its_value(scale):
    age, smile = scale.sliders()
    assert (age.name, age.group, age.unit) == ("age", "Face", "years")
    assert age.label == f"age, {scale.values[0]:.0f} years"
    assert smile.label == f"smile, {scale.positions[1]:+.1f} SD".replace("-", "−") and smile.unit is None
    assert age.low < 0 < age.high and (smile.low, smile.high) == (-3, 3)
    assert "not measured" in smile.info


def test_years_become_deviations_and_back(scale, small_axes, small_dataset):
    moved = scale.in_deviations({"age": 6.0, "smile": 1.0})
    assert moved["smile"] == 1.0
    assert scale.in_sliders(moved)["age"] == pytest.approx(6.0, abs=0.01)
    edited = small_axes.edit(np.asarray(small_dataset.w[:1]), moved)
    before, after = (float(small_axes.read(w)[0, 0]) for w in (np.asarray(small_dataset.w[:1]), edited))
    assert after - before == pytest.approx(6.0, abs=0.5)


def test_what_is_reached_is_said_in_the_unit(scale):
    now = scale.values[0]
    assert scale.reached({"age": 6.0, "smile": 1.0}) == {"age": f"{now:.0f} → {now + 6:.0f} years"}


def test_groups_hold_each_attribute_once_and_own_ones_come_last():
    names = [name for group in GROUPS.values() for name in group]
    assert len(set(names)) == len(names)
    assert group_of("freckles") == OWN_GROUP
    assert in_order(("freckles", "yaw", "age")) == ["age", "yaw", "freckles"]


def test_every_shipped_attribute_has_a_group():
    import jaxedit

    axes = jaxedit.load_axes("mobile-stylegan-ffhq")
    assert [name for name in axes.attribute_names if group_of(name) == OWN_GROUP] == []


def test_other_changes_are_named_from_a_seventh_of_the_edit_on():
    names, still = ("age", "smile", "gray_hair"), np.zeros(3)
    assert change_notes(names, still, np.array([1.0, 0.1, 0.1]), {"age": 1.0}) == ()
    assert change_notes(names, still, np.array([1.0, 0.1, 0.4]), {"age": 1.0}) == (
        "Also changes on this face: gray hair (40 %).",
    )
    unseen = [True, True, False]
    assert change_notes(names, still, np.array([1.0, 0.1, 0.4]), {"age": 1.0}, unseen) == ()


def test_a_face_at_the_end_of_an_axis_and_one_that_cannot_be_read_are_named():
    names, still = ("age", "smile"), np.zeros(2)
    (at_end,) = change_notes(names, still, np.array([0.0, 0.05]), {"smile": 1.5})
    assert "Hardly changes" in at_end and "smile" in at_end
    (unread,) = change_notes(names, np.array([0.0, np.nan]), np.array([1.0, np.nan]), {"age": 1.0})
    assert "Could not be read" in unread and "smile" in unread


def test_the_usable_part_of_a_slider_is_marked_and_ends_where_the_face_is_at_an_end(
    small_axes, small_dataset
):
    from jaxedit.axes.layer_curves import LayerCurves
    from jaxedit.studio.page.html import slider_marks

    flat = np.zeros((2, 8, 6), np.float32)
    curves = LayerCurves(
        flat,
        flat,
        np.array([[-9.0, 9.0], [-9.0, -8.0]], np.float32),
        np.array([0.2, 0.2], np.float32),
        np.arange(8, dtype=np.int32),
    )
    ranges = np.array([[-1.0, 1.0], [-2.0, 2.0]], np.float32)
    axes = dataclasses.replace(small_axes, curves=curves, ranges=ranges)
    age, smile = FaceScale.of(axes, np.asarray(small_dataset.w[:1])).sliders()
    assert age.end is None and age.marked() == (age.low, age.high)
    assert age.extent[0] < age.low and age.high < age.extent[1]
    assert smile.end == "upper" and smile.marked() == (-2, 0) and "upper end" in smile.info
    assert "#sliders #slider-1{--start:16.7%;--end:50.0%;--zero:50.0%;}" in slider_marks([age, smile], {})
    assert "--zero:37.5%" in slider_marks([smile], {"smile": 5.0})  # typed: the slider grows
