"""Writes the files of PyTorch, and pickles of StyleGAN2 for PyTorch, without PyTorch.

The classes and functions that such files name exist here only while a file is written.
"""

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

KINDS = {
    "float32": "Float",
    "float64": "Double",
    "float16": "Half",
    "int64": "Long",
    "int32": "Int",
    "uint8": "Byte",
    "bool": "Bool",
}
FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 64


class View(NamedTuple):
    """A tensor with any size, stride and offset, valid or not."""

    data: np.ndarray
    """The storage."""
    offset: Any
    size: Any
    stride: Any
    kind: str = "Float"
    numel: Any = None
    """What is said of the size of the storage; None for the truth."""


class Storage(NamedTuple):
    data: np.ndarray
    kind: str
    numel: Any


class Persistent:
    """An object whose pickle carries the source code of its class."""

    def __init__(self, class_name: str, state: dict[str, Any], source: str) -> None:
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": source,
            "class_name": class_name,
            "state": state,
        }


def _function(module: str, name: str) -> Any:
    def function() -> None: ...

    function.__module__, function.__name__, function.__qualname__ = module, name, name
    return function


NAMES = {
    "torch": {f"{kind}Storage": type(f"{kind}Storage", (), {}) for kind in [*KINDS.values(), "BFloat16"]},
    "torch._utils": {
        name: _function("torch._utils", name) for name in ("_rebuild_tensor_v2", "_rebuild_parameter")
    },
    "torch.storage": {"_load_from_bytes": _function("torch.storage", "_load_from_bytes")},
    "torch_utils": {},
    "torch_utils.persistence": {
        "_reconstruct_persistent_obj": _function("torch_utils.persistence", "_reconstruct_persistent_obj")
    },
}
for storage_class in NAMES["torch"].values():
    storage_class.__module__ = "torch"


class _Pickler(pickle.Pickler):
    """Pickles arrays as tensors, with their storages inside, or outside in `storages` if that is given."""

    def __init__(
        self, file: Any, protocol: int, *, storages: dict[str, np.ndarray] | None, extra: tuple[Any, ...]
    ) -> None:
        super().__init__(file, protocol)
        self.storages = storages
        self.extra = extra

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, Storage) or self.storages is None:
            return None
        key = str(len(self.storages))
        self.storages[key] = value.data
        return ("storage", NAMES["torch"][f"{value.kind}Storage"], key, "cpu", value.numel, *self.extra)

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            # Where the transpose lies in order in memory, it is stored so, as PyTorch does it.
            view = value if value.T.flags.c_contiguous else np.array(value, order="C")
            flat = view.reshape(-1, order="A")
            strides = tuple(stride // value.itemsize for stride in view.strides)
            return self.reducer_override(View(flat, 0, value.shape, strides, KINDS[value.dtype.name]))
        if isinstance(value, View):
            storage = Storage(value.data, value.kind, value.data.size if value.numel is None else value.numel)
            arguments = (storage, value.offset, value.size, value.stride, False, OrderedDict())
            return NAMES["torch._utils"]["_rebuild_tensor_v2"], arguments
        if isinstance(value, Parameter):
            return NAMES["torch._utils"]["_rebuild_parameter"], (value.array, False, OrderedDict())
        if isinstance(value, Storage):
            return NAMES["torch.storage"]["_load_from_bytes"], (write_stream(value),)
        if isinstance(value, Persistent):
            return NAMES["torch_utils.persistence"]["_reconstruct_persistent_obj"], (value.meta,)
        return NotImplemented


class Parameter:
    def __init__(self, array: Any) -> None:
        self.array = array


def _pickled(
    value: Any,
    protocol: int,
    *,
    storages: dict[str, np.ndarray] | None = None,
    extra: tuple[Any, ...] = (),
) -> bytes:
    modules = {name: types.ModuleType(name) for name in NAMES}
    for name, contents in NAMES.items():
        vars(modules[name]).update(contents)
    buffer = io.BytesIO()
    with mock.patch.dict(sys.modules, modules):
        _Pickler(buffer, protocol, storages=storages, extra=extra).dump(value)
    return buffer.getvalue()


def write_archive(
    value: Any,
    *,
    protocol: int = 2,
    order: str | None = "little",
    compression: int = zipfile.ZIP_STORED,
    change: Mapping[str, bytes | None] | None = None,
) -> bytes:
    """What `torch.save` writes since 1.6. `change` replaces members, and leaves out those that are None."""
    storages: dict[str, np.ndarray] = {}
    members: dict[str, bytes | None] = {"data.pkl": _pickled(value, protocol, storages=storages)}
    if order is not None:
        members["byteorder"] = order.encode()
    for key, array in storages.items():
        stored = array.astype(array.dtype.newbyteorder(">")) if order == "big" else array
        members[f"data/{key}"] = stored.tobytes()
    members |= {"version": b"3\n", **(change or {})}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(f"checkpoint/{name}", content)
    return buffer.getvalue()


def write_stream(value: Any, *, protocol: int = 2, keys: list[str] | None = None) -> bytes:
    """What `torch.save` wrote before 1.6."""
    storages: dict[str, np.ndarray] = {}
    content = _pickled(value, protocol, storages=storages, extra=(None,))
    about = {
        "protocol_version": 1001,
        "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    header = [pickle.dumps(part, protocol) for part in (0x1950A86A20F9469CFC6C, 1001, about)]
    listed = sorted(storages) if keys is None else keys
    tail = [struct.pack("<q", storages[k].size) + storages[k].tobytes() for k in listed if k in storages]
    return b"".join([*header, content, pickle.dumps(listed, protocol), *tail])


def write_pickle(value: Any, *, protocol: int = 4) -> bytes:
    """A plain pickle, in which each tensor carries its storage."""
    return _pickled(value, protocol)


def official_module(
    params: Mapping[str, np.ndarray],
    options: Mapping[str, Any],
    *,
    source: str = "",
    change: Mapping[str, Mapping[str, Any]] | None = None,
) -> Persistent:
    """The generator of StyleGAN2-ADA for PyTorch as its modules are pickled.

    Args:
        params: official name → array.
        options: those of the generator: `z_dim`, `c_dim`, `w_dim`, `img_resolution`, `img_channels`,
            `num_mapping_layers`, `architecture`, and perhaps `conv_clamp` and `lr_multiplier`.
        source: the code that each module carries.
        change: path of a module → attributes to replace. None removes one.
    """
    states: dict[str, dict[str, Any]] = {"": _state()}
    for name, array in params.items():
        *path, leaf = name.split(".")
        for depth in range(1, len(path) + 1):
            states.setdefault(".".join(path[:depth]), _state())
        kind = "_buffers" if leaf in ("w_avg", "resample_filter", "noise_const") else "_parameters"
        states[".".join(path)][kind][leaf] = array if kind == "_buffers" else Parameter(array)
    modules: dict[str, Persistent] = {}
    for path, state in states.items():
        class_name, attributes = _described(path, params, options)
        state |= attributes | dict((change or {}).get(path, {}))
        modules[path] = Persistent(class_name, state, source)
    for path, module in modules.items():
        if path:
            parent, _, name = path.rpartition(".")
            states[parent]["_modules"][name] = module
    return modules[""]


def _state() -> dict[str, Any]:
    return {
        "training": False,
        "_parameters": OrderedDict(),
        "_buffers": OrderedDict(),
        "_non_persistent_buffers_set": set(),
        "_backward_hooks": OrderedDict(),
        "_modules": OrderedDict(),
    }


def _described(
    path: str, params: Mapping[str, np.ndarray], options: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Class and attributes of the module at a path."""
    leaf = path.rpartition(".")[2]
    clamp = {"conv_clamp": options.get("conv_clamp")}
    if not path:
        keys = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")
        return "Generator", {key: options[key] for key in keys}
    if path == "mapping":
        return "MappingNetwork", {"num_layers": options["num_mapping_layers"]}
    if path == "synthesis":
        return "SynthesisNetwork", {}
    if leaf.startswith("conv"):
        own = {"activation": "lrelu", "up": 2 if leaf == "conv0" else 1}
        return "SynthesisLayer", clamp | own | {"use_noise": f"{path}.noise_const" in params}
    if leaf == "torgb":
        return "ToRGBLayer", clamp
    if leaf == "skip":
        return "Conv2dLayer", {"activation": "linear", "up": 2, "conv_clamp": None}
    if leaf in ("affine", "embed") or leaf.startswith("fc"):
        is_fc = leaf.startswith("fc")
        multiplier = options.get("lr_multiplier", 0.01) if is_fc else 1
        gain = multiplier / np.sqrt(params[f"{path}.weight"].shape[-1])
        activation = "lrelu" if is_fc else "linear"
        return "FullyConnectedLayer", {
            "activation": activation,
            "weight_gain": gain,
            "bias_gain": multiplier,
        }
    return "SynthesisBlock", {"architecture": options["architecture"]}
