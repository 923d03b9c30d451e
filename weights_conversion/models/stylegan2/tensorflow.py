"""The pickles of NVIDIA's StyleGAN2 and StyleGAN2-ADA for TensorFlow.

Such a pickle holds the networks (G, D, Gs), each with its variables, its options and the source code that builds it.
The code is never run: the sizes come from the variables, the arithmetic from the options.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats import safe_pickle
from weights_conversion.formats.foreign_file import read_source
from weights_conversion.formats.numpy_pickle import NUMPY_CONSTRUCTORS, StoredArray
from weights_conversion.formats.safe_pickle import describe
from weights_conversion.models.stylegan2.variables import convert_variables

_REQUIRED: dict[str, Any] = {
    "num_channels": 3,
    "nonlinearity": "lrelu",
    "mapping_nonlinearity": "lrelu",
    "normalize_latents": True,
    "resample_kernel": [1, 3, 3, 1],
}
"""Options with a single supported value, which is their default."""

_SIZES = {
    "latent_size": "z_dim",
    "label_size": "c_dim",
    "dlatent_size": "w_dim",
    "mapping_layers": "mapping_layers",
}
"""Options that also follow from the shapes of the variables → their names in the config."""


class _Network:
    """A `dnnlib.tflib.network.Network` as a pickle stores it."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def setstate(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise ConversionError(f"expected a network with a table of its parts, found {describe(state)}")
        self.state = state

    def part(self, name: str, kind: type) -> Any:
        value = self.state.get(name)
        if not isinstance(value, kind):
            raise ConversionError(f"expected a network with {name}, found {describe(value)}")
        return value


_CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    **NUMPY_CONSTRUCTORS,
    "dnnlib.tflib.network.Network": _Network,
    "dnnlib.util.EasyDict": dict,
    "collections.OrderedDict": dict,
}


def convert_tensorflow(source: str | Path | bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the generator of a pickle for TensorFlow: Gs, the average over the training, if there are several.

    Args:
        source: the `.pkl` file, or its content.

    Returns:
        The config and the nested dict of float32 arrays of the converted form.

    Raises:
        ConversionError: if the file is damaged, asks for anything but networks and arrays, holds no generator of a
            StyleGAN2, or one with options that are not supported.
    """
    data, name = read_source(source)
    networks = safe_pickle.load(data, constructors=_CONSTRUCTORS, name=name)
    try:
        generator = _generator(networks)
        options = _options(generator)
        variables = _variables(generator, len(data))
    except ConversionError as error:
        raise ConversionError(f"{name}: {error}") from error
    lrmul = _positive(options, "mapping_lrmul", name) if "mapping_lrmul" in options else 0.01
    clamp = _positive(options, "conv_clamp", name) if options.get("conv_clamp") is not None else None
    config, params = convert_variables(variables, name=name, mapping_lrmul=lrmul, conv_clamp=clamp)
    sizes = {option: config[key] for option, key in _SIZES.items()}
    sizes["resolution"] = 4 * 2 ** (len(config["channels"]) - 1)  # of a square image, whatever the constant
    for option, size in sizes.items():
        if option in options and options[option] != size:
            raise ConversionError(
                f"{name}: its options say {option} {describe(options[option])}, its variables {size}"
            )
    return config, params


def _generator(networks: Any) -> _Network:
    candidates = networks if isinstance(networks, tuple | list) else [networks]
    found = [network for network in candidates if isinstance(network, _Network)]
    if not found:
        raise ConversionError("expected the networks (G, D, Gs) of a StyleGAN2, found none")
    functions = [network.state.get("build_func_name") for network in found]
    generators = [n for n, function in zip(found, functions, strict=True) if function == "G_main"]
    if not generators:
        first = (
            "a generator of the first StyleGAN" if "G_style" in functions else "no generator of a StyleGAN2"
        )
        built = ", ".join(describe(function) for function in functions[:3])
        raise ConversionError(f"found {first}: its networks are built by {built}, not by 'G_main'")
    version = generators[-1].state.get("version")
    if version not in (4, 5):
        raise ConversionError(f"expected a network of version 4 or 5, found {describe(version)}")
    return generators[-1]  # Gs comes after G


def _sub_networks(generator: _Network) -> dict[str, _Network]:
    components = generator.part("components", dict)
    for name in ("mapping", "synthesis"):
        if not isinstance(components.get(name), _Network):
            raise ConversionError(f"expected a generator with the network {name}, found none")
    return {name: components[name] for name in ("mapping", "synthesis")}


def _options(generator: _Network) -> Mapping[str, Any]:
    options = dict(generator.part("static_kwargs", dict))
    for network in _sub_networks(generator).values():
        options |= network.part("static_kwargs", dict)
    for name, required in _REQUIRED.items():
        value = options.get(name, required)
        if (list(value) if isinstance(value, tuple) else value) != required:
            raise ConversionError(f"expected the option {name} to be {required!r}, found {describe(value)}")
    return options


def _positive(options: Mapping[str, Any], option: str, name: str) -> float:
    value = options[option]
    if type(value) not in (int, float) or not 0 < value < 1e6:
        raise ConversionError(
            f"{name}: expected the option {option} to be a positive number, found {describe(value)}"
        )
    return float(value)


def _variables(generator: _Network, size: int) -> dict[str, np.ndarray]:
    """Every variable of the generator and its two networks, by its name below the generator."""
    variables = {}
    networks = {"": generator} | {f"{name}/": net for name, net in _sub_networks(generator).items()}
    for prefix, network in networks.items():
        for entry in network.part("variables", list):
            if type(entry) not in (tuple, list) or len(entry) != 2 or type(entry[0]) is not str:
                raise ConversionError("expected variables as pairs of a name and an array")
            name, stored = prefix + entry[0][:200], entry[1]
            if not isinstance(stored, StoredArray):
                raise ConversionError(f"{name!r}: expected an array, found {describe(stored)}")
            try:
                variables[name] = stored.array()
            except ConversionError as error:
                raise ConversionError(f"{name!r}: {error}") from error
            size -= variables[name].nbytes
            if size < 0:  # a pickle can give one array many names, and each would become an array of its own
                raise ConversionError(
                    "expected variables with numbers of their own, found the same several times"
                )
    return variables
