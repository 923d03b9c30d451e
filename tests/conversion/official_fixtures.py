"""Reference generators: their parameters under the official names, and their converted arrays."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from weights_conversion.models.stylegan2.state_dict import convert_state_dict
from weights_conversion.table import flatten

FIXTURES = Path(__file__).parents[1] / "fixtures"


@functools.cache
def fixture_params(name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The parameters of a reference, by their official names, and the options of its generator."""
    with np.load(FIXTURES / f"{name}.npz") as file:
        params = {key.removeprefix("param."): file[key] for key in file.files if key.startswith("param.")}
        return params, json.loads(str(file["meta"]))


@functools.cache
def converted_fixture(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config and the arrays of a reference in the converted form."""
    params, options = fixture_params(name)
    resolution = options["img_resolution"]
    sizes = [4 * 2**i for i in range(resolution.bit_length() - 2)]
    config = {
        "family": "stylegan2",
        **{key: options[key] for key in ("z_dim", "c_dim", "w_dim", "architecture")},
        "mapping_layers": options["num_mapping_layers"],
        "resolution": resolution,
        "channels": [params[f"synthesis.b{size}.conv1.bias"].size for size in sizes],
        "conv_clamp": None,
    }
    return config, convert_state_dict(params, config, name=name)


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Equal names, shapes and types, and numbers up to the rounding of folded factors."""
    found, expected = flatten(found), flatten(expected)
    assert found.keys() == expected.keys()
    for name, array in found.items():
        array, other = np.asarray(array), np.asarray(expected[name])
        assert array.dtype == np.float32, name
        assert array.shape == other.shape, name
        np.testing.assert_allclose(array, other, rtol=2e-7, atol=0, err_msg=name)
