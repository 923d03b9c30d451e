"""Constants of a model in OpenVINO intermediate representation, version 10.

The `.xml` file of a model lists its layers. A `Const` layer gives the position of its numbers in the `.bin` file. No
part of the graph is executed.
"""

import math
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError

_DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<f2"),
    "i64": np.dtype("<i8"),
    "i32": np.dtype("<i4"),
}


def read_constants(xml: bytes, binary: bytes, *, name: str) -> dict[str, np.ndarray]:
    """Read the `Const` layers of a model.

    Args:
        xml: the `.xml` file.
        binary: the `.bin` file.
        name: what to call the model in an error.

    Returns:
        Layer name → array of the stored shape and type.

    Raises:
        ConversionError: if the XML is not an IR of version 10, or a constant lies outside the `.bin`.
    """
    try:
        root = ET.fromstring(xml)
    except ET.ParseError as error:
        raise ConversionError(f"{name}.xml: expected OpenVINO IR, found no valid XML: {error}") from error
    if root.tag != "net" or root.get("version") != "10":
        raise ConversionError(
            f"{name}.xml: expected OpenVINO IR version 10, found <{root.tag} version={root.get('version')}>"
        )
    constants = {}
    for layer in root.iterfind("layers/layer[@type='Const']"):
        data = layer.find("data")
        layer_name = layer.get("name")
        if data is None or layer_name is None:
            raise ConversionError(f"{name}.xml: constant {layer_name!r} has no data element")
        dtype = _DTYPES.get(data.get("element_type", ""))
        if dtype is None:
            continue  # a type that no weight has
        try:
            shape = tuple(int(length) for length in data.get("shape", "").split(",") if length.strip())
            offset, size = int(data.get("offset", -1)), int(data.get("size", -1))
        except ValueError as error:
            raise ConversionError(
                f"{name}.xml: constant {layer_name!r}: expected whole numbers as shape, offset and size: {error}"
            ) from error
        is_shape = min(shape, default=0) >= 0 and size == math.prod(shape) * dtype.itemsize
        if not is_shape or offset < 0 or offset + size > len(binary):
            raise ConversionError(
                f"{name}.bin: constant {layer_name!r} of shape {shape} should lie at {offset}…{offset + size}, "
                f"the file has {len(binary)} bytes"
            )
        constants[layer_name] = np.frombuffer(binary, dtype, math.prod(shape), offset).reshape(shape)
    return constants
