"""The folder of the page: models, axes, the runtime that runs them, and the page's own files."""

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from jaxedit._version import __version__
from jaxedit.attributes.faces.detector import FaceDetector
from jaxedit.attributes.faces.networks import FaceNetworks
from jaxedit.attributes.person.places import ATTRIBUTE_PLACES
from jaxedit.attributes.person.pretrained import load_mask_network
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.errors import InputError
from jaxedit.export.extras import require
from jaxedit.export.onnx_graphs.builder import OPSET
from jaxedit.export.onnx_graphs.layers import image_shape
from jaxedit.export.onnx_models import check_encoder, check_network
from jaxedit.export.web.axes_file import axes_file
from jaxedit.export.web.models import (
    Model,
    detector_model,
    encoder_model,
    landmarks_model,
    mapping_model,
    mixing_model,
    person_model,
    synthesis_models,
)
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.mobile_stylegan.preview import FACTOR
from jaxedit.generators.protocol import check_square_rgb
from jaxedit.generators.stylegan2.generator import StyleGAN2
from jaxedit.inversion.encoder import Encoder
from jaxedit.latents.seed_stream import sample_w
from jaxedit.storage.atomic import check_free, check_nothing_there, whole_folder
from jaxedit.storage.download import ONNX_RUNTIME_WEB, fetch
from weights_conversion.formats.tarball import read_members

FORMAT = "jaxedit-web"
FORMAT_VERSION = 1
"""Raised whenever a page of one version could not read the files of another."""

MANIFEST = "manifest.json"
TRUNCATION = 0.7
"""Of faces by number, as in `jaxedit edit`."""

_FITTED = 48
_EDITED = 0.4
"""Standard deviation of the edits of the latents that small images are fitted to."""

_MOTION_GRID = 128
"""Cells a side on which the page tells what an edit moved, as in `motion.js`."""

_MASK_SIDE = 256
"""Pixels a side of the images in which the page finds the person."""

_RUNTIME_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
"""Two builds, of which the page loads one: that with WebGPU where there is a graphics processor."""

_DIGEST = "DIGEST"
"""What the service worker has in place of the manifest's hash."""


def export_web(
    generator: Any,
    folder: str | Path,
    *,
    axes: AttributeAxes,
    encoder: Encoder | None = None,
    license_note: str | None = None,
) -> dict[str, Any]:
    """Write a page that draws and edits faces in the browser alone.

    The folder holds static files: any web server will do. `jaxedit web FOLDER` is one. Nothing is asked of another
    host. Weights are whole numbers of 16 bits; images stay within 1/255 of those of float32 weights.

    Args:
        generator: a StyleGAN2 or MobileStyleGAN of `load_generator` in float32, with colors and without classes.
        folder: where to: a free name or an empty folder.
        axes: of the generator's latents. Whether they are of this generator, `load_axes` has checked.
        encoder: of the generator's images: the page then takes photographs, finds the faces in them as `align` does,
            and needs the face networks, which are fetched once (13 MB). Whether it is of this generator,
            `load_encoder` has checked. Its weights are whole numbers of 8 bits, which the page loads for the first
            photograph.
        license_note: the licence of the weights, in words; the page shows it.

    Returns:
        The content of `manifest.json`: what the models are, and the size and SHA-256 of each file.

    Raises:
        InputError: if the generator is of another family, has classes, is gray or computes in bfloat16, the axes have
            another width or another number of layers, the encoder gives latents of another shape, or the package onnx
            is missing.
        DownloadError: if the runtime or the face networks cannot be fetched.
        OutputError: if the folder is not empty or cannot be written.
    """
    model = _checked(generator)
    axes.check_shape(model)
    if encoder is not None:
        check_encoder(encoder, model)
        check_square_rgb(model, use="photographs in the page")
        if model.resolution % _MOTION_GRID:
            raise InputError(
                f"encoder: expected a generator of {_MOTION_GRID} pixels a side or a multiple for photographs in the "
                f"page, got {model.resolution}"
            )
    require("onnx", extra="onnx", use="export of the page")
    check_free(folder)
    files = page_files() | runtime_files()
    models = [mapping_model(model), *synthesis_models(model, _latents_to_fit(model, axes))]
    models += _later_models(model, axes, encoder)
    files |= {f"models/{one.name}.onnx": one.serialized for one in models}
    files["axes.bin"], about_axes = axes_file(axes)
    files["axes.json"] = _json(about_axes)
    manifest = _manifest(model, models, files, license_note)
    files[MANIFEST] = _json(manifest)
    worker = files["service_worker.js"].decode()
    digest = hashlib.sha256(files[MANIFEST]).hexdigest()[:16]
    files["service_worker.js"] = worker.replace(_DIGEST, digest).encode()
    with whole_folder(folder, check=check_nothing_there) as temporary:
        for name, content in files.items():
            path = temporary / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    return manifest


def _later_models(
    generator: MobileStyleGAN | StyleGAN2, axes: AttributeAxes, encoder: Encoder | None
) -> list[Model]:
    """What photographs and edits in places need."""
    models = []
    has_places = _has_places(generator, axes)
    if encoder is not None:
        models += [encoder_model(encoder), detector_model(FaceDetector.from_pretrained())]
    if encoder is not None or has_places:
        models.append(landmarks_model(FaceNetworks.from_pretrained().landmarks))
    if has_places:
        models += [person_model(load_mask_network()), mixing_model()]
    return models


def _has_places(generator: MobileStyleGAN | StyleGAN2, axes: AttributeAxes) -> bool:
    """Whether the page can draw edits in places: it finds these in small images, of the size that the mask needs."""
    is_seen = isinstance(generator, MobileStyleGAN) and generator.resolution == FACTOR * _MASK_SIDE
    return is_seen and any(name in ATTRIBUTE_PLACES for name in axes.attribute_names)


def page_files() -> dict[str, bytes]:
    """The page's own files by name."""
    source = resources.files("jaxedit.export.web") / "page"
    return {item.name: item.read_bytes() for item in source.iterdir() if item.is_file()}


def runtime_files() -> dict[str, bytes]:
    """The runtime that runs ONNX models in a browser, from the cache (fetched first).

    Raises:
        DownloadError, OutputError: as `fetch` does.
    """
    names = {f"package/dist/{name}" for name in _RUNTIME_FILES}
    found = read_members(fetch(ONNX_RUNTIME_WEB), names, kind="package of the runtime")
    return {f"runtime/{name}": found[f"package/dist/{name}"] for name in _RUNTIME_FILES}


def _checked(generator: Any) -> MobileStyleGAN | StyleGAN2:
    model = check_network(generator, use="the page")
    if model.c_dim:
        raise InputError(f"generator: expected one without classes for the page, got {model.c_dim} classes")
    if isinstance(model, StyleGAN2) and model.config.image_channels != 3:
        raise InputError(
            f"generator: expected one of RGB images for the page, got {model.config.image_channels} channels"
        )
    return model


def _latents_to_fit(generator: MobileStyleGAN | StyleGAN2, axes: AttributeAxes) -> np.ndarray:
    """Truncated latents, all but a quarter of them edited: what the page draws."""
    w = sample_w(generator, 0, _FITTED, batch_size=_FITTED)
    mean = np.asarray(generator.w_avg[...])
    w = mean + TRUNCATION * (w - mean)
    amounts = _EDITED * np.random.RandomState(0).standard_normal((axes.num_attributes, _FITTED))
    amounts[:, : _FITTED // 4] = 0
    return np.asarray(axes.edit(w, dict(zip(axes.attribute_names, amounts, strict=True))))


def _manifest(
    generator: MobileStyleGAN | StyleGAN2, models: list[Model], files: dict[str, bytes], note: str | None
) -> dict[str, Any]:
    _, height, width = image_shape(generator)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "versions": {"jaxedit": __version__, "opset": OPSET, "onnxruntime-web": ONNX_RUNTIME_WEB.version},
        "generator": json.loads(json.dumps(generator.describe())),
        "license": note,
        "truncation_psi": TRUNCATION,
        "z_dim": generator.z_dim,
        "w_dim": generator.w_dim,
        "num_ws": generator.num_ws,
        "image": {"height": height, "width": width},
        "models": {one.name: {"file": f"models/{one.name}.onnx"} | one.about for one in models},
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in sorted(files.items())
            if name != "service_worker.js"  # it names the hash of this manifest
        },
    }


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
