"""Axes as a binary file that a browser reads: float32 numbers, little-endian, and a JSON that says where each array is.

The arrays are those of the axes' own path from latents of W (`jaxedit.axes.paths`), multiplied out where that is
shorter: x = (w − mean) · directions is whitened already, and curves are kept in W.
"""

from typing import Any

import numpy as np

from jaxedit.attributes.person.places import ATTRIBUTE_PLACES
from jaxedit.attributes.slider_groups import KNOWN_UNITS, SIDES, group_of, in_order
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.autoencoder import MLP
from jaxedit.axes.in_places import PARTS
from jaxedit.export.contents import describe_attributes

_TABLE = ("positions", "values")


def axes_file(axes: AttributeAxes) -> tuple[bytes, dict[str, Any]]:
    """The binary file, and its JSON.

    The JSON holds `attributes` in the order of the axes (name, unit, usable range in standard deviations, and how a
    page shows them), `order` in which a page shows them, `parts` (the places of an image that are drawn one over the
    other), `path` ("curves" or "decoder"), `leaky_slope`, `group_of_layer`, and `arrays`: name ↦ byte offset and shape.
    """
    arrays = _arrays(axes)
    offset, places, parts = 0, {}, []
    for name, array in arrays.items():
        content = np.ascontiguousarray(array, "<f4").tobytes()
        places[name] = {"offset": offset, "shape": list(np.shape(array))}
        parts.append(content)
        offset += len(content)
    described: dict[str, Any] = {
        "path": "decoder" if axes.curves is None else "curves",
        "leaky_slope": float(axes.autoencoder.encoder.leaky_slope),
        "group_of_layer": None if axes.curves is None else np.asarray(axes.curves.group_of_layer).tolist(),
        "order": [axes.attribute_names.index(name) for name in in_order(axes.attribute_names)],
        "parts": [list(part) for part in PARTS],
        "attributes": [_shown(attribute) for attribute in describe_attributes(axes)],
        "arrays": places,
    }
    return b"".join(parts), described


def _shown(attribute: dict[str, Any]) -> dict[str, Any]:
    name, unit = attribute["name"], attribute["unit"]
    return {key: value for key, value in attribute.items() if key not in _TABLE} | {
        "title": name.replace("_", " "),
        "group": group_of(name),
        "shown_unit": unit if unit in KNOWN_UNITS else None,
        "sides": SIDES.get(name),
        "place": ATTRIBUTE_PLACES.get(name),
    }


def _arrays(axes: AttributeAxes) -> dict[str, np.ndarray]:
    pca, autoencoder, transform, curves = axes.pca, axes.autoencoder, axes.quantile_transform, axes.curves
    rows = np.asarray(pca.components)[: pca.num_components]
    scale = (
        np.ones(len(rows), np.float32) if autoencoder.linear is None else np.asarray(autoencoder.linear.scale)
    )
    arrays = {"mean": pca.mean, "directions": (rows / scale[:, None]).T}
    arrays |= _network("encoder", autoencoder.encoder)
    if autoencoder.linear is not None:
        arrays["linear_encoder"] = autoencoder.linear.encoder
    arrays |= {f"transform_{name}": getattr(transform, name) for name in ("values", "positions", "slopes")}
    if curves is None:
        arrays |= _network("decoder", autoencoder.decoder)
        if autoencoder.linear is not None:
            arrays["linear_decoder"] = autoencoder.linear.decoder
        arrays["back"] = scale[:, None] * rows
    else:
        k = curves.tangents.shape[2]
        both = np.concatenate([np.asarray(curves.tangents), np.asarray(curves.curvatures)])
        arrays["curves"] = (both * np.asarray(pca.whitened_scale)) @ np.asarray(pca.components)[:k]
        arrays |= {"ends": curves.ends, "slopes": curves.slopes}
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()}


def _network(name: str, network: MLP) -> dict[str, Any]:
    layers = zip(network.kernels, network.biases, strict=True)
    return {
        f"{name}_{part}_{i}": array
        for i, both in enumerate(layers)
        for part, array in zip(("kernel", "bias"), both, strict=True)
    }
