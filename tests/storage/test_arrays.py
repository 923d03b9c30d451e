import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.storage.arrays import read_arrays, read_arrays_or_none, write_arrays


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_and_metadata_round_trip(tmp_path, compressed):
    arrays = {"a": np.arange(6, dtype=np.float16).reshape(2, 3), "names": np.asarray(["x", "é"])}
    path = write_arrays(tmp_path / "new" / "x.npz", arrays, {"seed": 3}, kind="toys", compressed=compressed)
    found = read_arrays(path, kind="toys")
    assert found.metadata == {"seed": 3}
    assert found.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype
    again = write_arrays(tmp_path / "y.npz", arrays, {"seed": 3}, kind="toys", compressed=compressed)
    assert again.read_bytes() == path.read_bytes()


def test_files_of_another_origin_have_no_metadata(tmp_path):
    np.savez(tmp_path / "x.npz", w=np.ones(3))
    assert read_arrays(tmp_path / "x.npz", kind="toys").metadata == {}


def test_refusals_name_the_file_and_what_was_expected(tmp_path):
    write_arrays(tmp_path / "other.npz", {}, kind="labels")
    whole = write_arrays(tmp_path / "whole.npz", {"a": np.ones(1000)}, kind="toys").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-300])
    (tmp_path / "text.npz").write_text("no archive")
    np.save(tmp_path / "single.npy", np.ones(3))
    (tmp_path / "folder").mkdir()
    for name, found in {
        "none.npz": "found nothing",
        "cut.npz": "could not read it",
        "text.npz": "could not read it",
        "single.npy": "could not read it",
        "folder": "found a folder",
        "other.npz": "found a file of kind 'labels'",
    }.items():
        with pytest.raises(InputError, match=rf"{name}: expected a box of toys, {found}"):
            read_arrays(tmp_path / name, kind="toys", expected="a box of toys")
        assert read_arrays_or_none(tmp_path / name, kind="toys") is None


def test_objects_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.asarray([{"a": 1}], object))
    with pytest.raises(InputError, match="could not read it"):
        read_arrays(tmp_path / "x.npz")
