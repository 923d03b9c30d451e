"""The pickles of NVIDIA's PyTorch code: StyleGAN2-ADA, and the StyleGAN2 of the StyleGAN3 repository.

Such a pickle holds networks as trees of modules. Each module carries the source code of its class, which is never
run: the sizes and the arithmetic come from the attributes of the modules and from their arrays.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats import safe_pickle
from weights_conversion.formats.foreign_file import read_source
from weights_conversion.formats.numpy_pickle import NUMPY_CONSTRUCTORS, StoredArray
from weights_conversion.formats.safe_pickle import describe, shorten
from weights_conversion.formats.torch_file import TORCH_CONSTRUCTORS, is_torch_file, load_torch
from weights_conversion.formats.torch_tensor import Allowance
from weights_conversion.models.stylegan2.layout import MAX_BLOCKS, check_config, image_shape, known_shape
from weights_conversion.models.stylegan2.state_dict import convert_state_dict

_FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def is_usual_filter(array: np.ndarray) -> bool:
    """Whether a resampling filter is [1, 3, 3, 1] both ways."""
    return array.shape == (4, 4) and np.allclose(array, _FILTER, atol=1e-4)


class Module:
    """A module as a pickle stores it: the name of its class, and its state."""

    def __init__(self, meta: Any) -> None:
        state = meta.get("state") if type(meta) is dict else None
        if type(state) is not dict or type(meta.get("class_name")) is not str:
            raise ConversionError("expected a module with its class and state, found something else")
        self.class_name: str = meta["class_name"]
        self.state = state

    def part(self, kind: str, name: str) -> Any:
        """One of its `_modules`, `_parameters` or `_buffers`; None if it has no such part."""
        parts = self.state.get(kind)
        return parts.get(name) if type(parts) is dict else None


MODULE_CONSTRUCTORS: dict[str, Callable[..., Any] | None] = {
    **NUMPY_CONSTRUCTORS,
    **TORCH_CONSTRUCTORS,
    "torch_utils.persistence._reconstruct_persistent_obj": Module,
    "dnnlib.util.EasyDict": dict,
}
"""Names in a pickle → factories: networks become `Module`, tensors `Tensor`."""


def convert_official(source: str | Path | bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the generator of a pickle: `G_ema`, the average over the training, if there are several.

    Args:
        source: path of the `.pkl` file, or its content.

    Returns:
        The config and the nested dict of float32 arrays of the converted form.

    Raises:
        ConversionError: if the file is damaged, asks for anything but networks and arrays, holds no generator of a
            StyleGAN2, or one with options that are not supported.
    """
    networks, allowance, name = read_networks(source)
    return convert_networks(networks, allowance, name=name)


def read_networks(source: str | Path | bytes) -> tuple[Any, Allowance, str]:
    """What `MODULE_CONSTRUCTORS` make of a pickle, the limit on its tensors, and the name of the file.

    Raises:
        ConversionError: if the file is damaged, or asks for anything but networks and arrays.
    """
    data, name = read_source(source)
    if is_torch_file(data):  # a network saved whole, as pivotal tuning does it
        networks = load_torch(data, constructors=MODULE_CONSTRUCTORS, name=name)
    else:
        networks = safe_pickle.load(data, constructors=MODULE_CONSTRUCTORS, name=name)
    return networks, Allowance(len(data), name=name), name


def has_modules(checkpoint: Any) -> bool:
    """Whether an object read with `MODULE_CONSTRUCTORS` is a network, or a table with networks in it."""
    if type(checkpoint) is dict:
        return any(isinstance(value, Module) for value in checkpoint.values())
    return isinstance(checkpoint, Module)


def convert_networks(
    networks: Any, allowance: Allowance, *, name: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Convert a generator, or the generator in a table of networks.

    Args:
        networks: what `MODULE_CONSTRUCTORS` made of the pickle.
        allowance: of the file.
        name: what to call the file in an error.

    Returns:
        The config and the nested dict of float32 arrays of the converted form.

    Raises:
        ConversionError: if there is no generator of a StyleGAN2, or one with options that are not supported.
    """
    reader = _Reader(generator_of(networks, name), allowance, name)
    config = reader.config()
    return config, convert_state_dict(reader.arrays, config, lr_multiplier=reader.lr_multiplier, name=name)


def generator_of(networks: Any, name: str) -> Module:
    """A generator, or the one in a table of networks.

    Raises:
        ConversionError: if there is none.
    """
    if type(networks) is dict:
        found = {key: networks[key] for key in ("G_ema", "G", "D") if isinstance(networks.get(key), Module)}
        generator = found.get("G_ema", found.get("G"))
        if generator is None:
            others = f"a network {', '.join(found)} alone" if found else f"entries {_keys(networks)}"
            raise ConversionError(f"{name}: expected a generator as G_ema or G, found {others}")
    else:
        generator = networks
    if not isinstance(generator, Module):
        raise ConversionError(f"{name}: expected networks of PyTorch, found {describe(generator)}")
    if generator.class_name != "Generator":
        raise ConversionError(
            f"{name}: expected a generator of a StyleGAN2, found a {shorten(generator.class_name)} alone"
        )
    return generator


def _keys(networks: dict[Any, Any]) -> str:
    return ", ".join(describe(key) for key in list(networks)[:4]) or "none"


class _Reader:
    """Collects config and arrays of a generator, and checks that its modules compute what ours compute."""

    def __init__(self, generator: Module, allowance: Allowance, name: str) -> None:
        self.generator = generator
        self.allowance = allowance
        self.name = name
        self.arrays: dict[str, np.ndarray] = {}
        self.lr_multiplier = 1.0
        self.clamps: dict[str, float | None] = {}
        self.channels: list[int] = []

    def config(self) -> dict[str, Any]:
        """The config; fills `arrays` and `lr_multiplier`."""
        mapping = self._module(self.generator, "mapping", "MappingNetwork")
        synthesis = self._module(self.generator, "synthesis", "SynthesisNetwork")
        if synthesis.part("_modules", "b4") is None:
            is_third = isinstance(synthesis.part("_modules", "input"), Module)
            kind = "a generator of StyleGAN3" if is_third else "another generator"
            raise ConversionError(f"{self.name}: expected a generator of a StyleGAN2, found {kind}")
        image_channels = self._integer(self.generator, "generator", "img_channels")
        sizes = {
            key: self._integer(self.generator, "generator", attribute)
            for key, attribute in {"z_dim": "z_dim", "c_dim": "c_dim", "w_dim": "w_dim"}.items()
        }
        sizes["mapping_layers"] = self._integer(mapping, "mapping", "num_layers")
        resolution = self._integer(self.generator, "generator", "img_resolution")
        blocks = max(resolution.bit_length() - 2, 1)
        self._array(self._module(synthesis, "b4", "SynthesisBlock"), "synthesis.b4", "const")
        size = known_shape(self.arrays, "synthesis.b4.const", 3, name=self.name)[1:]
        if size != (4, 4):  # forks count the resolution of such generators in ways of their own
            blocks = 0
            while blocks < MAX_BLOCKS and synthesis.part("_modules", f"b{4 * 2**blocks}") is not None:
                blocks += 1
            resolution = max(size) * 2 ** (blocks - 1)
        config: dict[str, Any] = {
            "family": "stylegan2",
            **sizes,
            "resolution": resolution,
            **image_shape(image_channels, size),
        }
        architecture = self._module(synthesis, "b4", "SynthesisBlock").state.get("architecture")
        if not isinstance(architecture, str):
            raise ConversionError(
                f"{self.name}: synthesis.b4: expected architecture as text, found {describe(architecture)}"
            )
        # Checked before the arrays are read: a size decides which of them there are.
        guess = {"channels": [1] * blocks, "architecture": architecture, "conv_clamp": None}
        check_config(config | guess, name=self.name)
        self._mapping(mapping, config)
        for i in range(blocks):
            self._block(synthesis, i, architecture, size, is_last=i == blocks - 1)
        if len(set(self.clamps.values())) > 1:
            raise ConversionError(f"{self.name}: expected one conv_clamp in all layers, found several")
        clamp = next(iter(self.clamps.values()))
        return config | {"channels": self.channels, "architecture": architecture, "conv_clamp": clamp}

    def _mapping(self, mapping: Module, config: dict[str, Any]) -> None:
        self._array(mapping, "mapping", "w_avg")
        multipliers = set()
        for i in range(config["mapping_layers"]):
            multipliers.add(self._dense(mapping, "mapping", f"fc{i}", activation="lrelu"))
        if len(multipliers) > 1:
            raise ConversionError(
                f"{self.name}: expected one lr_multiplier in the mapping network, found several"
            )
        self.lr_multiplier = multipliers.pop()
        if config["c_dim"] > 0:
            self._plain(mapping, "mapping", "embed")

    def _block(
        self, synthesis: Module, i: int, architecture: str, constant: tuple[int, ...], *, is_last: bool
    ) -> None:
        where = f"synthesis.b{4 * 2**i}"
        block = self._module(synthesis, f"b{4 * 2**i}", "SynthesisBlock")
        size = tuple(length * 2**i for length in constant)
        self._expect(block, where, "architecture", architecture)
        self._filter(block, where)
        if i > 0:
            self._layer(block, where, "conv0", size, up=2)
        self._layer(block, where, "conv1", size, up=1)
        if architecture == "skip" or is_last:
            head = self._module(block, "torgb", "ToRGBLayer")
            self._clamp(head, f"{where}.torgb")
            self._plain(head, f"{where}.torgb", "affine")
            self._array(head, f"{where}.torgb", "weight")
            self._array(head, f"{where}.torgb", "bias")
        if architecture == "resnet" and i > 0:
            skip = self._module(block, "skip", "Conv2dLayer")
            self._expect(skip, f"{where}.skip", "activation", "linear")
            self._expect(skip, f"{where}.skip", "up", 2)
            self._filter(skip, f"{where}.skip")
            self._array(skip, f"{where}.skip", "weight")

    def _layer(self, block: Module, where: str, layer: str, size: tuple[int, ...], *, up: int) -> None:
        module, where = self._module(block, layer, "SynthesisLayer"), f"{where}.{layer}"
        self._expect(module, where, "activation", "lrelu")
        self._expect(module, where, "up", up)
        self._clamp(module, where)
        self._filter(module, where)
        self._plain(module, where, "affine")
        weight = self._array(module, where, "weight")
        self._array(module, where, "bias")
        if layer == "conv1":
            self.channels.append(weight.shape[0] if weight.ndim else 0)
        if module.state.get("use_noise") is False:
            self.arrays[f"{where}.noise_strength"] = np.zeros((), np.float32)
            self.arrays[f"{where}.noise_const"] = np.zeros(size, np.float32)
        else:
            self._array(module, where, "noise_strength")
            self._array(module, where, "noise_const")

    def _plain(self, parent: Module, where: str, layer: str) -> None:
        """A dense layer without activation and without a learning rate of its own."""
        if not math.isclose(multiplier := self._dense(parent, where, layer, activation="linear"), 1):
            raise ConversionError(
                f"{self.name}: {where}.{layer}: expected an lr_multiplier of 1, found {multiplier}"
            )

    def _dense(self, parent: Module, where: str, layer: str, *, activation: str) -> float:
        """Collects the arrays of a dense layer; returns the multiplier of its learning rate."""
        module, where = self._module(parent, layer, "FullyConnectedLayer"), f"{where}.{layer}"
        self._expect(module, where, "activation", activation)
        weight = self._array(module, where, "weight")
        self._array(module, where, "bias")
        multiplier, gain = (self._number(module, where, key) for key in ("bias_gain", "weight_gain"))
        fan_in = max(weight.shape[-1] if weight.ndim else 0, 1)
        if not 1e-6 < multiplier < 1e6 or not math.isclose(
            gain, multiplier / math.sqrt(fan_in), rel_tol=1e-5
        ):
            raise ConversionError(
                f"{self.name}: {where}: expected gains of an lr_multiplier, found {gain} and {multiplier}"
            )
        return multiplier

    def _module(self, parent: Module, part: str, class_name: str) -> Module:
        child = parent.part("_modules", part)
        if not isinstance(child, Module) or child.class_name != class_name:
            found = shorten(child.class_name) if isinstance(child, Module) else describe(child)
            raise ConversionError(
                f"{self.name}: expected a {class_name} as {part} of a StyleGAN2, found {found}"
            )
        return child

    def _array(self, module: Module, where: str, part: str) -> np.ndarray:
        tensor = module.part("_parameters", part)
        tensor = module.part("_buffers", part) if tensor is None else tensor
        where = f"{where}.{part}"
        self.arrays[where] = self.allowance.array(tensor, where)
        return self.arrays[where]

    def _filter(self, module: Module, where: str) -> None:
        found = self._array(module, where, "resample_filter")
        if not is_usual_filter(found):
            raise ConversionError(
                f"{self.name}: {where}: expected the filter [1, 3, 3, 1], found another one"
            )

    def _clamp(self, module: Module, where: str) -> None:
        is_none = module.state.get("conv_clamp") is None
        self.clamps[where] = None if is_none else self._number(module, where, "conv_clamp")

    def _expect(self, module: Module, where: str, attribute: str, value: Any) -> None:
        found = module.state.get(attribute)
        if type(found) is not type(value) or found != value:
            raise ConversionError(
                f"{self.name}: {where}: expected {attribute} {value!r}, found {describe(found)}"
            )

    def _integer(self, module: Module, where: str, attribute: str) -> int:
        value = module.state.get(attribute)
        if type(value) is not int:
            raise ConversionError(
                f"{self.name}: {where}: expected {attribute} as a whole number, found {describe(value)}"
            )
        return value

    def _number(self, module: Module, where: str, attribute: str) -> float:
        value = module.state.get(attribute)
        if isinstance(value, StoredArray):
            try:
                array = value.array()
            except ConversionError as error:
                raise ConversionError(f"{self.name}: {where}.{attribute}: {error}") from error
            value = float(array.reshape(())) if array.size == 1 else None
        if type(value) is bool or not isinstance(value, int | float) or not abs(value) < 1e30:
            raise ConversionError(
                f"{self.name}: {where}: expected {attribute} as a number, found {describe(value)}"
            )
        return float(value)
