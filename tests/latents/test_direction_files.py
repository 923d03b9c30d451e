"""Directions in the structures in which other libraries publish them."""

import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.evaluation.methods import LinearDirections, check_methods, load_directions
from jaxedit.latents.direction_files import read_direction_file
from tests.conversion.foreign_torch import write_archive
from tests.inversion.small_generator import small_generator

UNIT = np.eye(16, dtype=np.float32)[3]
LAYERED = np.random.RandomState(0).randn(10, 16).astype(np.float32)


def test_boundaries_and_tensors_are_called_as_their_files(tmp_path):
    np.save(tmp_path / "smile_w_boundary.npy", UNIT[None].astype(np.float64))  # InterfaceGAN
    (tmp_path / "age.pt").write_bytes(write_archive(UNIT[None]))  # encoder4editing
    (tmp_path / "pose.pt").write_bytes(write_archive(np.repeat(UNIT[None, None], 18, axis=1)))
    (tmp_path / "hair.pt").write_bytes(write_archive(LAYERED[None]))
    (tmp_path / "notes.txt").touch()
    found = read_direction_file(tmp_path)
    assert list(found) == ["age", "hair", "pose", "smile_w_boundary"]
    for name in ("age", "pose", "smile_w_boundary"):
        np.testing.assert_array_equal(found[name], UNIT)
        assert found[name].dtype == np.float32
    np.testing.assert_array_equal(found["hair"], LAYERED)


def test_components_of_ganspace(tmp_path):
    components = np.eye(16, dtype=np.float32)[:4, None]
    common = {"act_mean": np.zeros((1, 16)), "act_stdev": np.ones(4), "lat_mean": np.zeros((1, 16))}
    common |= {"var_ratio": np.ones(4), "random_stdevs": np.ones(4)}
    np.savez_compressed(
        tmp_path / "w.npz", act_comp=components, lat_comp=-components, lat_stdev=np.ones(4), **common
    )
    activations = np.ones((4, 8, 2, 2), np.float32)
    np.savez_compressed(
        tmp_path / "conv.npz", act_comp=activations, lat_comp=components, lat_stdev=np.arange(4.0), **common
    )
    content = write_archive({"mean": np.zeros((1, 16)), "comp": components, "std": np.ones(4)})
    (tmp_path / "pca.pt").write_bytes(content)
    for name in ("w.npz", "conv.npz", "pca.pt"):
        method = load_directions(tmp_path / name, name="pca", rename={"component_2": "-yaw"})
        assert method.attribute_names == ("component_0", "component_1", "yaw", "component_3")
        np.testing.assert_allclose(method.directions[2], -5 * components[2, 0])
    np.savez(tmp_path / "z.npz", act_comp=activations, lat_comp=components, lat_stdev=np.ones(4), **common)
    with pytest.raises(
        InputError, match=r"z.npz: expected components of GANSpace in W, found .* \[8, 2, 2\]"
    ):
        read_direction_file(tmp_path / "z.npz")


@pytest.mark.parametrize("shape", [(1,), (16, 1), (0,), (2, 10, 16)])
def test_shapes_of_no_direction(tmp_path, shape):
    np.save(tmp_path / "d.npy", np.ones(shape))
    with pytest.raises(InputError, match=r"d.npy: d: expected a direction .* got shape"):
        read_direction_file(tmp_path / "d.npy")


def test_a_folder_without_directions_or_with_one_twice(tmp_path):
    with pytest.raises(InputError, match="found a folder without them"):
        read_direction_file(tmp_path)
    np.save(tmp_path / "age.npy", UNIT)
    np.savez(tmp_path / "b.npz", age=UNIT)
    with pytest.raises(InputError, match="got 'age' twice"):
        read_direction_file(tmp_path)


@pytest.mark.parametrize(
    ("shape", "fits"), [((16,), True), ((10, 16), True), ((8,), False), ((18, 16), False)]
)
def test_directions_are_checked_against_the_generator(shape, fits):
    generator = small_generator()  # num_ws 10, w_dim 16
    method = LinearDirections("theirs", ("age",), np.ones((1, *shape), np.float32))
    if fits:
        check_methods(generator, [method])
        return
    message = r"directions 'theirs': expected directions of shape \[16\] or \[10, 16\], .* got \["
    with pytest.raises(InputError, match=message):
        check_methods(generator, [method])


@pytest.mark.parametrize("shape", [(1,), (8,), (10, 1)])
def test_directions_are_not_broadcast(shape):
    method = LinearDirections("theirs", ("age",), np.ones((1, *shape), np.float32))
    with pytest.raises(InputError, match="theirs: expected latents"):
        method.edit(np.ones((2, 16), np.float32), "age", np.ones(2, np.float32))
