"""Attribute axes as the arrays and the config of a checkpoint, and back.

Checkpoints of earlier versions keep the batch norms of the autoencoder beside its layers, and some arrays under other
names. They load as well.
"""

import dataclasses
import itertools
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxedit.axes.autoencoder import MLP, Affine, AxisAutoencoder, BatchNorm, LinearPath, fold_batch_norms
from jaxedit.axes.config import AxesConfig
from jaxedit.axes.layer_curves import LayerCurves
from jaxedit.axes.report import AxesReport
from jaxedit.errors import CheckpointError, InputError
from jaxedit.labels.quantile_transform import QuantileTransform
from jaxedit.latents.pca import PCA

_PCA = ("mean", "components", "explained_variance")
_FORMER_CURVES = {"tangents": "coordinates", "curvatures": "bends"}


def to_checkpoint(axes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON-serializable config and the nested dict of arrays of `AttributeAxes`."""
    config = {
        "attribute_names": list(axes.attribute_names),
        "attribute_units": list(axes.attribute_units),
        "num_components": axes.pca.num_components,
        "config": dataclasses.asdict(axes.config),
        "layer_curves": axes.curves is not None,
        "generator_fingerprint": axes.generator_fingerprint,
    }
    autoencoder: dict[str, Any] = {
        part: _layers(getattr(axes.autoencoder, part)) for part in ("encoder", "decoder")
    }
    if axes.autoencoder.linear is not None:
        autoencoder["linear"] = axes.autoencoder.linear._asdict()
    arrays = {
        "pca": {name: getattr(axes.pca, name) for name in _PCA},
        "quantile_transform": _fields(axes.quantile_transform),
        "autoencoder": autoencoder,
        "report": _fields(axes.report),
        "history": dict(axes.history),
    }
    if axes.curves is not None:
        arrays["curves"] = _fields(axes.curves)
    if axes.ranges is not None:
        arrays["ranges"] = {"amounts": np.asarray(axes.ranges, np.float32)}
    return config, arrays


def from_checkpoint(config: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `AttributeAxes`.

    Raises:
        CheckpointError: if something is missing or does not fit; the message names no file.
    """
    try:
        settings, k = AxesConfig(**config["config"]), config["num_components"]
        transform = arrays.get("quantile_transform") or arrays["gaussianiser"]
        return {
            "attribute_names": tuple(config["attribute_names"]),
            "attribute_units": tuple(config["attribute_units"]),
            "pca": PCA(**_on_device(arrays["pca"]), num_components=k),
            "quantile_transform": QuantileTransform(**_on_device(transform)),
            "autoencoder": _autoencoder(arrays["autoencoder"], k, settings),
            "config": settings,
            "report": AxesReport(**arrays["report"]),
            "history": arrays["history"],
            "curves": _curves(config, arrays),
            "generator_fingerprint": _fingerprint(config),
            "ranges": _ranges(arrays, len(config["attribute_names"])),
        }
    except (KeyError, TypeError, InputError) as error:
        raise CheckpointError(f"does not fit this version's axes: {error}") from error


def _fingerprint(config: Mapping[str, Any]) -> str | None:
    """The fingerprint of the generator. Earlier versions kept none."""
    found = config.get("generator_fingerprint")
    if not (found is None or isinstance(found, str)):
        raise InputError(f"generator_fingerprint: expected text or none, found {type(found).__name__}")
    return found


def _ranges(arrays: Mapping[str, Any], num_attributes: int) -> np.ndarray | None:
    """The usable amounts. Earlier versions kept none."""
    if "ranges" not in arrays:
        return None
    found = np.asarray(arrays["ranges"]["amounts"])
    if found.shape != (num_attributes, 2):
        raise InputError(f"ranges: expected shape {(num_attributes, 2)}, found {found.shape}")
    return found


def _fields(pytree: Any) -> dict[str, Any]:
    """The fields that are there: older axes lack some."""
    found = {field.name: getattr(pytree, field.name) for field in dataclasses.fields(pytree)}
    return {name: value for name, value in found.items() if value is not None}


def _on_device(arrays: Mapping[str, Any]) -> dict[str, Array]:
    return {name: jnp.asarray(array) for name, array in arrays.items()}


def _layers(network: MLP) -> dict[str, Array]:
    """Kernels and biases by number."""
    return {f"kernel_{i}": kernel for i, kernel in enumerate(network.kernels)} | {
        f"bias_{i}": bias for i, bias in enumerate(network.biases)
    }


def _autoencoder(arrays: Mapping[str, Any], k: int, config: AxesConfig) -> AxisAutoencoder:
    is_former = not isinstance(arrays.get("encoder"), Mapping)
    arrays = _by_layer(arrays) if is_former else arrays
    encoder, decoder = (
        _folded_network(arrays[part], arrays.get("code_norm") if part == "encoder" else None, config)
        if is_former
        else _network(arrays[part], config)
        for part in ("encoder", "decoder")
    )
    linear = LinearPath(**_on_device(arrays["linear"])) if config.linear_path else None
    found = AxisAutoencoder(encoder, decoder, linear)
    _check_shapes(found, k, config)
    return found


def _network(arrays: Mapping[str, Any], config: AxesConfig) -> MLP:
    kernels, biases = (
        tuple(jnp.asarray(arrays[f"{name}_{i}"]) for i in range(config.num_layers))
        for name in ("kernel", "bias")
    )
    return MLP(kernels, biases, config.leaky_slope)


def _folded_network(
    arrays: Mapping[str, Any], output_norm: Mapping[str, Any] | None, config: AxesConfig
) -> MLP:
    """The network of an earlier version, which kept its batch norms."""
    layers, norms = arrays["layers"], arrays.get("norms", {})
    return fold_batch_norms(
        [Affine(**_on_device(layers[str(i)])) for i in range(config.num_layers)],
        [BatchNorm(**_on_device(norms[str(i)])) for i in range(config.num_layers - 1)],
        None if output_norm is None else BatchNorm(**_on_device(output_norm)),
        config.leaky_slope,
    )


def _by_layer(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of an earlier version as a nested dict: "encoder_layers_0__kernel_value" and the like, by part."""
    nested: dict[str, Any] = {}
    for name, array in arrays.items():
        *parts, last = re.sub(r"_value$", "", name).replace("code_norm", "code-norm").split("_")
        place = nested
        for part in filter(None, parts):
            place = place.setdefault(part.replace("code-norm", "code_norm"), {})
        place[last] = array
    return nested


def _check_shapes(autoencoder: AxisAutoencoder, k: int, config: AxesConfig) -> None:
    widths = [k, *[config.hidden_width] * (config.num_layers - 1), k]
    for name in ("encoder", "decoder"):
        network = getattr(autoencoder, name)
        expected = [(i, o) for i, o in itertools.pairwise(widths)]
        found = [kernel.shape for kernel in network.kernels]
        if found != expected or [bias.shape for bias in network.biases] != [(o,) for _, o in expected]:
            raise InputError(f"{name}: expected kernels {expected}, found {found}")
    if autoencoder.linear is not None:
        shapes = [array.shape for array in jax.tree.leaves(autoencoder.linear)]
        if shapes != [(k,), (k, k), (k, k)]:
            raise InputError(f"linear: expected shapes [{k}], [{k}, {k}], [{k}, {k}], found {shapes}")


def _curves(config: Mapping[str, Any], arrays: Mapping[str, Any]) -> LayerCurves | None:
    if not (config.get("layer_curves") or config.get("layer_steps")):
        return None
    found = arrays.get("curves") or arrays["steps"]
    former = {old: new for new, old in _FORMER_CURVES.items()}
    return LayerCurves(**_on_device({former.get(name, name): array for name, array in found.items()}))
