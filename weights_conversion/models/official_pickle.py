"""The networks of NVIDIA's PyTorch code, whichever generator they hold."""

from pathlib import Path
from typing import Any

from weights_conversion.formats.torch_tensor import Allowance
from weights_conversion.models.stylegan2 import official as stylegan2
from weights_conversion.models.stylegan3 import official as stylegan3


def convert_official_pickle(source: str | Path | bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the generator of a pickle: `G_ema`, the average over the training, if there are several.

    Args:
        source: path of the `.pkl` file, or its content.

    Returns:
        The config and the nested dict of float32 arrays of the converted form.

    Raises:
        ConversionError: if the file is damaged, asks for anything but networks and arrays, holds no generator of a
            StyleGAN2 or StyleGAN3, or one with options that are not supported.
    """
    networks, allowance, name = stylegan2.read_networks(source)
    return convert_networks(networks, allowance, name=name)


def convert_networks(
    networks: Any, allowance: Allowance, *, name: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Convert a generator, or the generator in a table of networks.

    Args:
        networks: what `stylegan2.official.MODULE_CONSTRUCTORS` made of the pickle.
        allowance: of the file.
        name: what to call the file in an error.

    Raises:
        ConversionError: as `convert_official_pickle`.
    """
    generator = stylegan2.generator_of(networks, name)
    if stylegan3.is_stylegan3(generator):
        return stylegan3.convert_modules(generator, allowance, name=name)
    return stylegan2.convert_networks(networks, allowance, name=name)
