import dataclasses

import pytest

from jaxedit.axes import AxesConfig
from jaxedit.errors import InputError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_layers", 0),
        ("hidden_width", 0),
        ("batch_size", 1),
        ("steps_per_chunk", 0),
        ("num_steps", 0),
        ("attribute_weight", -1.0),
        ("decorrelation_weight", float("nan")),
        ("weight_decay", float("inf")),
        ("input_noise", -1.0),
        ("learning_rate", 0.0),
        ("held_out_fraction", 1.0),
    ],
)
def test_a_setting_out_of_range_is_named(name, value):
    with pytest.raises(InputError, match=name):
        AxesConfig(**{name: value})


def test_steps_or_epochs_but_not_both():
    with pytest.raises(InputError, match="num_steps and num_epochs"):
        AxesConfig(num_steps=5, num_epochs=5)
    with pytest.raises(InputError, match="num_steps and num_epochs"):
        AxesConfig(num_steps=None)
    assert AxesConfig(num_steps=7).steps(1000) == 7
    assert AxesConfig(num_steps=None, num_epochs=3, batch_size=100).steps(1050) == 30


def test_noise_needs_whitened_coordinates():
    with pytest.raises(InputError, match="input_noise"):
        AxesConfig(linear_path=False)
    assert AxesConfig(linear_path=False, input_noise=0.0).input_noise == 0


def test_the_paper_recipe():
    paper = AxesConfig.paper(seed=3)
    assert dataclasses.asdict(paper) | {"steps_per_chunk": 0, "split_seed": 0} == {
        "num_layers": 8,
        "hidden_width": 512,
        "leaky_slope": 0.01,
        "linear_path": False,
        "linear_damping": 0.0,
        "input_noise": 0.0,
        "attribute_weight": 1e-5,
        "decorrelation_weight": 1e-5,
        "decorrelation_target": "identity",
        "label_transform": "quantile",
        "learning_rate": 2e-4,
        "learning_rate_schedule": "constant",
        "weight_decay": 0.0,
        "batch_size": 256,
        "num_steps": None,
        "num_epochs": 150,
        "held_out_fraction": 0.3,
        "split_seed": 0,
        "seed": 3,
        "steps_per_chunk": 0,
    }
