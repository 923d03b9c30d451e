"""Refusals before the work of commands that tell nothing of it yet."""

import types

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.axes import AxesConfig
from jaxedit.axes.editing import Edit, check_raw_amounts
from jaxedit.axes.learning.split import largest_batch
from jaxedit.cli.parsing import axes_name, check_class
from jaxedit.errors import InputError
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.project import check_noise_inputs
from jaxedit.labels.quantile_transform import QuantileTransform
from tests.evaluation.conftest import LinearGenerator
from tests.inversion.small_generator import small_generator


def test_a_missing_class_is_named_with_the_way_to_choose_one():
    check_class(types.SimpleNamespace(c_dim=0), "cats")
    with pytest.raises(InputError, match=r"cats has 10 classes: expected one of cats#0 … cats#9, got none"):
        check_class(types.SimpleNamespace(c_dim=10), "cats")


def test_axes_of_a_generator_without_shipped_ones():
    assert axes_name(None, "mobile-stylegan-ffhq") == "mobile-stylegan-ffhq"
    assert axes_name("axes", "cats") == "axes"
    with pytest.raises(InputError, match="--axes: expected the folder of axes of cats, got none"):
        axes_name(None, "cats")


@pytest.mark.parametrize(("num_samples", "expected"), [(256, 179), (10, 7), (3, 0), (0, 0)])
def test_the_largest_batch_of_few_labels(num_samples, expected):
    assert largest_batch(num_samples, AxesConfig()) == expected


def test_noise_images_are_asked_of_generators_that_take_them():
    check_noise_inputs(small_generator(), ProjectionConfig.official())
    check_noise_inputs(LinearGenerator(), ProjectionConfig.fast())
    with pytest.raises(
        InputError, match=r"optimize_noise \(preset official\): expected a generator with noise"
    ):
        check_noise_inputs(LinearGenerator(), ProjectionConfig.official())


def test_amounts_beyond_all_values_are_refused():
    values = np.asarray([[20.0, 70.0], [0.0, 1.0]], np.float32)
    transform = QuantileTransform(*map(jnp.asarray, (values, values, values)))
    Edit.of({"age": 99.0}, ("age", "smile"))
    check_raw_amounts({"age": 300.0, "smile": np.asarray([0.5, -3.0])}, ("age", "smile"), transform)
    with pytest.raises(InputError, match=r"'age': expected −100…100 in standard deviations, got -1e\+03"):
        Edit.of({"age": np.asarray([1.0, -1000.0])}, ("age", "smile"), batch=2)
    Edit.of({"age": 1000.0}, ("age", "smile"), units="raw")
    with pytest.raises(InputError, match=r"'smile': expected −101…101 in the attribute's unit, got 200"):
        check_raw_amounts({"smile": 200.0}, ("age", "smile"), transform)
