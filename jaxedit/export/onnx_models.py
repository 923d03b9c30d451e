"""Generators and edits as ONNX models, for runtimes without Python.

A folder holds the models and `models.json`, which says what each takes and returns. The batch size is free. Latents
are [batch, layers, w_dim] between all models: `mapping` gives one layer (W), edits give all layers (W+), and
`synthesis` takes either.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from jaxedit._version import __version__
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.errors import InputError
from jaxedit.export.contents import (
    check_generator,
    describe_attributes,
)
from jaxedit.export.extras import require
from jaxedit.export.onnx_graphs import latents
from jaxedit.export.onnx_graphs.builder import OPSET, GraphBuilder
from jaxedit.export.onnx_graphs.encoder import encoder as encoder_graph
from jaxedit.export.onnx_graphs.layers import image_shape
from jaxedit.export.onnx_graphs.mobile_stylegan import mobile_stylegan
from jaxedit.export.onnx_graphs.rounding import WeightsType
from jaxedit.export.onnx_graphs.stylegan2 import stylegan2
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.stylegan2.generator import StyleGAN2
from jaxedit.inversion.encoder import Encoder
from jaxedit.storage.atomic import check_free, check_nothing_there, whole_folder

FORMAT = "jaxedit-onnx"
FORMAT_VERSION = 1
"""Raised whenever what reads older exports could not read newer ones."""

MODELS_FILE = "models.json"

_WEIGHTS = ("float32", "float16", "int16")


def export_onnx(
    generator: Any,
    folder: str | Path,
    *,
    axes: AttributeAxes | None = None,
    encoder: Encoder | None = None,
    weights: WeightsType = "float32",
    license_note: str | None = None,
) -> dict[str, Any]:
    """Write a generator, edits along axes and an encoder as ONNX models.

    The models are `mapping`, `synthesis`, and with axes `edit` and `edit_w_plus`: latents, amounts in standard
    deviations and which attributes ↦ edited latents, along the axes' own path (`AttributeAxes.path`). Images are
    [batch, colors, height, width], nominally in [-1, 1]. StyleGAN2 adds its own noise. With an encoder there is
    `encoder`: aligned images of the encoder's size ↦ latents of W+, in one pass.

    Args:
        generator: a StyleGAN2 or MobileStyleGAN of `load_generator` in float32, with all its classes.
        folder: where to: a free name or an empty folder.
        axes: of the generator's latents. Whether they are of this generator, `load_axes` has checked.
        encoder: of the generator's images. Whether it is of this generator, `load_encoder` has checked.
        weights: "float16" and "int16" (whole numbers of 16 bits with a scale for each row, nearer to float32) halve
            the files of the synthesis network and of the encoder; arithmetic stays in float32. Mapping and edits, which
            are small, keep float32.
        license_note: the licence of the weights, in words.

    Returns:
        The content of `models.json`.

    Raises:
        InputError: if the generator has its class chosen, is of another family or computes in bfloat16, the axes have
            another width or another number of layers, the encoder gives latents of another shape, or the package onnx
            is missing.
        OutputError: if the folder is not empty or cannot be written.
    """
    generator = check_network(generator, use="ONNX")
    if weights not in _WEIGHTS:
        raise InputError(f"weights: expected float32, float16 or int16, got {weights!r}")
    if axes is not None:
        axes.check_shape(generator)
    if encoder is not None:
        check_encoder(encoder, generator)
    require("onnx", extra="onnx", use="export of ONNX")
    check_free(folder)
    described: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "versions": {"jaxedit": __version__, "opset": OPSET},
        "weights": weights,
        "generator": json.loads(json.dumps(generator.describe())),
        "license": license_note,
        "attributes": [] if axes is None else describe_attributes(axes),
        "models": {},
    }
    with whole_folder(folder, check=check_nothing_there) as temporary:
        names = ["mapping", "synthesis"] + ([] if axes is None else ["edit", "edit_w_plus"])
        models = {name: build(name, generator, axes, weights=weights) for name in names}
        if encoder is not None:
            models["encoder"] = build_encoder(encoder, weights=weights)
        for name, (serialized, about) in models.items():
            (temporary / f"{name}.onnx").write_bytes(serialized)
            described["models"][name] = about
        (temporary / MODELS_FILE).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    return described


def build(
    name: str,
    generator: StyleGAN2 | MobileStyleGAN,
    axes: AttributeAxes | None = None,
    *,
    weights: WeightsType = "float32",
) -> tuple[bytes, dict[str, Any]]:
    """One of the models, serialized, and what it takes and returns."""
    graph = GraphBuilder(name, weights=weights if name == "synthesis" else "float32")
    num_ws, w_dim = generator.num_ws, generator.w_dim
    if name == "synthesis":
        given = graph.input("latents", ["batch", "layers", w_dim])
        network: Callable[..., str] = stylegan2 if isinstance(generator, StyleGAN2) else mobile_stylegan
        result, value = "image", network(graph, generator, given)
        shape: list[int | str] = ["batch", *image_shape(generator)]
    elif name == "mapping":
        result, value, shape = "w", latents.mapping(graph, generator), ["batch", 1, w_dim]
    else:
        assert axes is not None
        value = latents.edit(graph, axes, num_ws=num_ws, in_w_plus=name == "edit_w_plus")
        result, shape = "edited", ["batch", num_ws, w_dim]
    return _serialized(graph, name, result, value, shape)


def build_encoder(
    encoder: Encoder, *, weights: WeightsType = "float32", hidden: WeightsType | None = None
) -> tuple[bytes, dict[str, Any]]:
    """An encoder, serialized, and what it takes and returns; `hidden` is the type of its largest matrix."""
    graph = GraphBuilder("encoder", weights=weights, parts={"hidden": hidden or weights})
    shape: list[int | str] = ["batch", encoder.config.num_ws, encoder.config.w_dim]
    return _serialized(graph, "encoder", "w_plus", encoder_graph(graph, encoder), shape)


def _serialized(
    graph: GraphBuilder, name: str, result: str, value: str, shape: list[int | str]
) -> tuple[bytes, dict[str, Any]]:
    serialized = graph.model({result: (value, shape)}, {"jaxedit": __version__})
    about = {
        "file": f"{name}.onnx",
        "arguments": graph.arguments(),
        "result": {"name": result, "shape": shape},
    }
    return serialized, about


def check_network(generator: Any, *, use: str) -> StyleGAN2 | MobileStyleGAN:
    """The generator, if there are graphs of it.

    Args:
        generator: to export.
        use: what for, in words.

    Raises:
        InputError: if its class is chosen, it is of another family, or it computes in bfloat16.
    """
    model = check_generator(generator)
    if not isinstance(model, StyleGAN2 | MobileStyleGAN):
        raise InputError(
            f"generator: expected a StyleGAN2 or MobileStyleGAN for {use}, got {model.family}; --format stablehlo "
            "takes every family"
        )
    if model.dtype != jnp.float32:
        raise InputError(
            f"generator: expected one that computes in float32 for {use}, got {model.dtype}: load it with "
            "dtype='float32'"
        )
    return model


def check_encoder(encoder: Encoder, generator: StyleGAN2 | MobileStyleGAN) -> None:
    """Refuse an encoder that gives latents of another shape.

    Raises:
        InputError: if it does.
    """
    own, expected = (encoder.config.num_ws, encoder.config.w_dim), (generator.num_ws, generator.w_dim)
    if own != expected:
        raise InputError(
            f"encoder: expected one of latents {list(expected)}, as the generator's W+, got one of {list(own)}"
        )
