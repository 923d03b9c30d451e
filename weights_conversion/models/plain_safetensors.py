"""State dicts of generators as safetensors, without the config of an export beside them."""

from pathlib import Path
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.safetensors_file import read_safetensors
from weights_conversion.models.conversion import Conversion, Options
from weights_conversion.models.state_dicts import find_state
from weights_conversion.models.torch_checkpoint import convert_state


def convert_plain_safetensors(path: str | Path, options: Options | None = None) -> Conversion:
    """Read the generator in a safetensors file. The names are those of the state dict that it was made of.

    Args:
        path: the file.
        options: what a plain state dict does not hold.

    Raises:
        ConversionError: if the file is damaged or holds no known generator.
    """
    arrays: dict[str, Any] = dict(read_safetensors(path))
    if "mapping_network.layers.0.weight" in arrays:
        raise ConversionError(
            f"{path}: expected the config.json of the export beside it, found none that can be read"
        )
    found = find_state(arrays, name=str(path))
    conversion = convert_state(found, arrays, _as_it_is, options or Options(), name=str(path))
    return conversion._replace(description=f"{conversion.description}, in safetensors")


def _as_it_is(array: Any, _: str) -> np.ndarray:
    return array
