"""The StyleGAN3 generators in the pickles of NVIDIA's PyTorch code.

The modules carry the source code of their classes, which is never run: their attributes and arrays tell what they
compute, and are checked against what the converted form computes.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.numpy_pickle import StoredArray
from weights_conversion.formats.safe_pickle import describe, shorten
from weights_conversion.formats.torch_tensor import Allowance
from weights_conversion.models.stylegan2.official import Module
from weights_conversion.models.stylegan3.layout import factors
from weights_conversion.models.stylegan3.state_dict import Options, convert_state_dict, layer_names

_MAX_MODULES = 1000
_CLASSES = {
    "": "Generator",
    "mapping": "MappingNetwork",
    "synthesis": "SynthesisNetwork",
    "synthesis.input": "SynthesisInput",
}


def is_stylegan3(generator: Module) -> bool:
    """Whether the synthesis network begins with Fourier features."""
    synthesis = generator.part("_modules", "synthesis")
    return isinstance(synthesis, Module) and isinstance(synthesis.part("_modules", "input"), Module)


def convert_modules(
    generator: Module, allowance: Allowance, *, name: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Convert a generator as its pickle stores it.

    Args:
        generator: the module of the generator.
        allowance: the limit on the bytes of its tensors.
        name: what to call the file in an error.

    Returns:
        The config and the nested dict of float32 arrays.

    Raises:
        ConversionError: if the modules are not those of a StyleGAN3, compute something else, or hold damaged arrays.
    """
    reader = _Reader(dict(_modules(generator, name)), allowance, name)
    arrays = reader.arrays()
    names = layer_names(arrays, name=name)
    synthesis, last = "synthesis", f"synthesis.{names[-1]}"
    clamps = {reader.clamp(f"synthesis.{layer}") for layer in names}
    if len(clamps) > 1:
        raise ConversionError(f"{name}: expected one conv_clamp in all layers, found several")
    first = f"synthesis.{names[0]}"
    options = Options(
        margin_size=reader.integer(synthesis, "margin_size"),
        bandwidth=reader.number("synthesis.input", "bandwidth"),
        lrelu_upsampling=reader.integer(first, "down_factor"),
        conv_clamp=clamps.pop(),
        output_scale=reader.number(synthesis, "output_scale"),
        lr_multiplier=reader.lr_multiplier(),
    )
    config, params = convert_state_dict(arrays, options, name=name)
    reader.expect("synthesis.input", "sampling_rate", config["sampling_rates"][0])
    for i, layer in enumerate(names[:-1]):
        where = f"synthesis.{layer}"
        up, down = factors(config, i)
        reader.expect(where, "up_factor", up)
        reader.expect(where, "down_factor", down)
        reader.expect(where, "conv_kernel", config["conv_kernel"])
        reader.expect(where, "out_sampling_rate", config["sampling_rates"][i])
    for attribute in ("up_factor", "down_factor", "conv_kernel"):
        reader.expect(last, attribute, 1)
    return config, params


def _modules(generator: Module, name: str) -> Iterator[tuple[str, Module]]:
    """Path and module of everything below a generator. Loops in a hostile pickle end at a limit."""
    waiting, count = [("", generator)], 0
    while waiting:
        path, module = waiting.pop()
        count += 1
        if count > _MAX_MODULES or len(path) > 1000:
            raise ConversionError(f"{name}: expected at most {_MAX_MODULES} modules, found more")
        yield path, module
        children = module.state.get("_modules")
        for key, child in (children if type(children) is dict else {}).items():
            if isinstance(child, Module) and type(key) is str:
                waiting.append((f"{path}.{key}" if path else key, child))


class _Reader:
    """Arrays and attributes of the modules of a generator."""

    def __init__(self, modules: Mapping[str, Module], allowance: Allowance, name: str) -> None:
        self.modules = modules
        self.allowance = allowance
        self.name = name
        for path, class_name in _CLASSES.items():
            found = modules.get(path)
            if found is None or found.class_name != class_name:
                shown = "none" if found is None else shorten(found.class_name)
                raise ConversionError(
                    f"{name}: expected a {class_name} as {path or 'the generator'} of a StyleGAN3, found {shown}"
                )

    def arrays(self) -> dict[str, np.ndarray]:
        """All parameters and buffers by their names."""
        arrays = {}
        for path, module in self.modules.items():
            for kind in ("_parameters", "_buffers"):
                tensors = module.state.get(kind)
                for key, tensor in (tensors if type(tensors) is dict else {}).items():
                    if type(key) is str and tensor is not None:
                        where = f"{path}.{key}" if path else key
                        arrays[where] = self.allowance.array(tensor, where)
        return arrays

    def lr_multiplier(self) -> float:
        """The multiplier of the learning rate in the mapping network. Checks the gains of all dense layers."""
        multipliers = set()
        for path, module in self.modules.items():
            if module.class_name != "FullyConnectedLayer":
                continue
            is_mapping = path.startswith("mapping.fc")
            self.expect(path, "activation", "lrelu" if is_mapping else "linear")
            multiplier, gain = self.number(path, "bias_gain"), self.number(path, "weight_gain")
            fan_in = self.integer(path, "in_features")
            if not 1e-6 < multiplier < 1e6 or not math.isclose(
                gain, multiplier / math.sqrt(max(fan_in, 1)), rel_tol=1e-5
            ):
                raise ConversionError(
                    f"{self.name}: {path}: expected gains of an lr_multiplier, found {gain} and {multiplier}"
                )
            if is_mapping:
                multipliers.add(multiplier)
            elif not math.isclose(multiplier, 1):
                raise ConversionError(
                    f"{self.name}: {path}: expected an lr_multiplier of 1, found {multiplier}"
                )
        if len(multipliers) != 1:
            raise ConversionError(
                f"{self.name}: expected one lr_multiplier in the mapping network, found {len(multipliers)}"
            )
        return multipliers.pop()

    def clamp(self, path: str) -> float | None:
        """The clamp of a layer."""
        return None if self._attribute(path, "conv_clamp") is None else self.number(path, "conv_clamp")

    def integer(self, path: str, attribute: str) -> int:
        """An attribute that is a whole number."""
        value = self.number(path, attribute)
        if value != int(value):
            raise ConversionError(
                f"{self.name}: {path}: expected {attribute} as a whole number, found {value}"
            )
        return int(value)

    def number(self, path: str, attribute: str) -> float:
        """An attribute that is a number, of Python or NumPy."""
        value = self._attribute(path, attribute)
        if isinstance(value, StoredArray):
            try:
                array = value.array()
            except ConversionError as error:
                raise ConversionError(f"{self.name}: {path}.{attribute}: {error}") from error
            value = float(array.reshape(())) if array.size == 1 and array.dtype.kind in "fiu" else None
        if type(value) is bool or not isinstance(value, int | float) or not abs(value) < 1e30:
            raise ConversionError(
                f"{self.name}: {path}: expected {attribute} as a number, found {describe(value)}"
            )
        return float(value)

    def expect(self, path: str, attribute: str, value: int | str) -> None:
        """Check an attribute."""
        found = self._attribute(path, attribute) if isinstance(value, str) else self.number(path, attribute)
        if found != value:
            raise ConversionError(
                f"{self.name}: {path}: expected {attribute} {value!r}, found {describe(found)}"
            )

    def _attribute(self, path: str, attribute: str) -> Any:
        module = self.modules.get(path)
        if module is None:
            raise ConversionError(f"{self.name}: expected a module {path} of a StyleGAN3, found none")
        return module.state.get(attribute)
