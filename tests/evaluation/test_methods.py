import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.evaluation import AxesMethod, EditingMethod, LinearDirections, load_directions
from jaxedit.evaluation.methods import CalibratedMethod, load_direction_files


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "published.npz"
    np.savez(path, age=np.asarray([0.0, 2.0, 0, 0, 0, 0]), pose=np.asarray([0, 0, 0.5, 0, 0, 0]))
    return path


def test_axes_are_a_method_with_values_of_its_own_unit(toy_axes, toy_w):
    method = AxesMethod("axes", toy_axes)
    assert isinstance(method, EditingMethod)
    assert isinstance(method, CalibratedMethod)
    assert method.attribute_names == ("red", "green", "blue")
    amounts = np.linspace(-1, 1, len(toy_w)).astype(np.float32)
    np.testing.assert_allclose(
        method.edit(toy_w, "red", amounts), toy_axes.edit(toy_w, {"red": amounts}), atol=1e-6
    )
    asked = np.full(len(toy_w), 0.5, np.float32)
    seen = toy_axes.read(method.edit_to(toy_w, "green", asked))[:, 1]
    np.testing.assert_allclose(seen, 0.5, atol=0.1)


def test_directions_of_w_and_of_w_plus(toy_w):
    directions = np.eye(6, dtype=np.float32)[:2]
    flat = LinearDirections("flat", ("a", "b"), directions)
    layered = LinearDirections("layered", ("a", "b"), np.stack([directions, 0 * directions], axis=1))
    amounts = np.arange(len(toy_w), dtype=np.float32)
    assert isinstance(flat, EditingMethod)
    assert not isinstance(flat, CalibratedMethod)
    moved = np.asarray(flat.edit(toy_w, "b", amounts))
    np.testing.assert_allclose(moved - toy_w, amounts[:, None] * directions[1], atol=1e-6)
    above, below = np.moveaxis(np.asarray(layered.edit(toy_w, "b", amounts)), 1, 0)
    np.testing.assert_allclose(above, moved, atol=1e-6)
    np.testing.assert_array_equal(below, toy_w)


def test_an_unknown_attribute_names_the_known_ones(toy_w):
    with pytest.raises(InputError, match=r"'c'.*a, b"):
        LinearDirections("flat", ("a", "b"), np.eye(6)[:2]).edit(toy_w, "c", np.ones(len(toy_w)))


def test_published_directions_get_one_length(published):
    method = load_directions(published, name="published")
    assert method.attribute_names == ("age", "pose")
    np.testing.assert_allclose(np.linalg.norm(method.directions, axis=1), 5)


def test_published_directions_are_renamed_and_turned_round(published):
    method = load_directions(published, name="published", rename={"pose": "-yaw"})
    assert method.attribute_names == ("age", "yaw")
    np.testing.assert_allclose(method.directions[:, :3], [[0, 5, 0], [0, 0, -5]])


def test_several_files_share_the_new_names(published, tmp_path):
    np.savez(tmp_path / "other.npz", head=np.ones(6))
    paths = {"one": published, "two": tmp_path / "other.npz"}
    one, two = load_direction_files(paths, rename={"pose": "yaw", "head": "yaw"})
    assert (one.name, one.attribute_names) == ("one", ("age", "yaw"))
    assert (two.name, two.attribute_names) == ("two", ("yaw",))
    with pytest.raises(InputError, match=r"'nose' is in none"):
        load_direction_files(paths, rename={"nose": "yaw"})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "one shape"),
        ({"a": np.ones(3), "b": np.ones(4)}, "one shape"),
        (
            {"a": np.ones((2, 3, 4))},
            r"a: expected a direction \[w_dim\] or \[num_ws, w_dim\], got shape \[2, 3, 4\]",
        ),
        ({"a": np.ones(3), "b": np.zeros(3)}, "b: expected a finite direction of some length"),
        ({"a": np.full(3, np.nan)}, "a: expected a finite direction"),
        ({"a": np.ones(1)}, r"a: expected a direction .* got shape \[1\]"),
        ({"a": np.ones((16, 1))}, r"a: expected a direction .* got shape \[16, 1\]"),
        ({"a": np.asarray("text")}, "a: expected a direction .* of <U4"),
    ],
)
def test_arrays_that_are_no_directions(tmp_path, arrays, message):
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_directions(tmp_path / "d.npz", name="d")


def test_files_that_are_no_directions(published, tmp_path):
    (tmp_path / "text.npz").write_text("directions")
    np.save(tmp_path / "text.npy", np.asarray("directions"))
    for name in ("text.npz", "text.npy", "absent.npz"):
        with pytest.raises(InputError, match=name):
            load_directions(tmp_path / name, name="d")
    with pytest.raises(InputError, match=r"'nose'.*age, pose"):
        load_directions(published, name="d", rename={"nose": "yaw"})
    with pytest.raises(InputError, match="a direction for each attribute"):
        load_directions(published, name="d", rename={"pose": "age"})
