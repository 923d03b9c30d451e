import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.storage.array_trees import read_array_tree, write_array_tree
from jaxedit.storage.arrays import write_arrays

ARRAYS = {
    "layers": {"0": {"kernel": np.arange(6.0).reshape(2, 3)}, "a/b.c": np.float16([1.5])},
    "scale": np.int32(7),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_read_trees_keep_their_types(tmp_path, compressed):
    path = write_array_tree(tmp_path / "x.npz", {"width": 3}, ARRAYS, kind="some", compressed=compressed)
    config, arrays = read_array_tree(path, kind="some")
    assert config == {"width": 3}
    assert arrays.keys() == ARRAYS.keys()
    assert arrays["layers"].keys() == ARRAYS["layers"].keys()
    np.testing.assert_array_equal(arrays["layers"]["0"]["kernel"], ARRAYS["layers"]["0"]["kernel"])
    assert arrays["layers"]["a/b.c"].dtype == np.float16
    assert arrays["scale"].dtype == np.int32
    assert arrays["scale"] == 7


def test_other_files_are_refused(tmp_path):
    path = write_array_tree(tmp_path / "x.npz", {}, ARRAYS, kind="some")
    with pytest.raises(InputError, match="found a file of kind 'some'"):
        read_array_tree(path, kind="another")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"x\.npz: expected weights, could not read it"):
        read_array_tree(path, kind="some", expected="weights")
    write_arrays(path, {"a": np.zeros(2)}, kind="some")
    with pytest.raises(InputError, match="found other contents"):
        read_array_tree(path, kind="some")
