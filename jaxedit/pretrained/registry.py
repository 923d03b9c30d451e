"""Generators, axes and labels by name or by folder."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import DTypeLike

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.checkpoint import from_checkpoint
from jaxedit.axes.layer_curves import load_layer_curves
from jaxedit.errors import CheckpointError, InputError, conversion_errors
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.mobile_stylegan import MobileStyleGAN, MobileStyleGANConfig
from jaxedit.generators.protocol import Generator
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan3 import StyleGAN3, StyleGAN3Config
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.labels_file import load_labels
from jaxedit.nn.parameters import module_params
from jaxedit.pretrained.hub_folder import is_axes_folder, read_axes
from jaxedit.pretrained.known_generators import KNOWN_GENERATORS, data_path
from jaxedit.storage.array_trees import read_array_tree
from jaxedit.storage.atomic import recover
from jaxedit.storage.cache import cached_checkpoint
from jaxedit.storage.checkpoints import load_checkpoint, read_metadata, save_checkpoint
from jaxedit.storage.download import fetch
from jaxedit.storage.paths import as_path
from jaxedit.storage.regular_files import read_json
from weights_conversion.safetensors_folder import CONFIG_FILE, read_folder

KIND = "generator"
AXES_KIND = "axes"

_FAMILIES = {
    MobileStyleGAN.family: (MobileStyleGAN, MobileStyleGANConfig),
    StyleGAN2.family: (StyleGAN2, StyleGAN2Config),
    StyleGAN3.family: (StyleGAN3, StyleGAN3Config),
}
_LABELS_FILE = "labels.npz"

AnyGenerator = MobileStyleGAN | StyleGAN2 | StyleGAN3 | ConditionedGenerator
"""The generators that can be loaded."""


def load_generator(name: str | Path, *, dtype: DTypeLike = jnp.float32) -> AnyGenerator:
    """Load a pretrained generator.

    Args:
        name: a known name (`mobile-stylegan-ffhq`: faces at 1024²), or a folder of `jaxedit convert`, `jaxedit export`
            or `save_generator`. `FOLDER#2` limits a conditional generator to its class 2. A known generator is
            fetched and converted on first use (37.6 MB); the cache keeps it.
        dtype: in which the synthesis network computes: float32 or bfloat16 (of StyleGAN2 and StyleGAN3 the four
            highest resolutions).

    Raises:
        InputError: if the name is neither known nor a folder, there is no such class, or the dtype is another.
        DownloadError: if the source cannot be fetched.
        CheckpointError: if the folder is damaged, foreign or newer.
        OutputError: if the cache cannot be written.

    Examples:
        >>> import jaxedit
        >>> generator = jaxedit.load_generator("mobile-stylegan-ffhq")
        >>> generator.resolution, generator.num_ws, generator.w_dim
        (1024, 16, 512)
    """
    if jnp.dtype(dtype) not in (jnp.float32, jnp.bfloat16):
        raise InputError(f"dtype: expected float32 or bfloat16, got {jnp.dtype(dtype)}")
    folder, mark, class_index = str(name).rpartition("#")
    recover(folder if mark else name)
    is_class = bool(mark) and class_index.isdecimal() and not as_path(name).exists()
    if (known := KNOWN_GENERATORS.get(str(name))) is not None:
        config, arrays = cached_checkpoint(
            f"{name}-{known.source.version}-{known.layout}",
            kind=KIND,
            make=lambda: known.convert(fetch(known.source)),
        )
    elif as_path(path := folder if is_class else name).exists():
        config, arrays = _read(as_path(path))
    else:
        raise InputError(
            f"generator {str(name)!r}: expected one of {', '.join(KNOWN_GENERATORS)}, or a checkpoint folder"
        )
    generator = _build(config, arrays, name=str(name), dtype=dtype)
    return ConditionedGenerator(generator, int(class_index)) if is_class else generator


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Config and arrays of a checkpoint folder or a safetensors folder."""
    if not (folder / CONFIG_FILE).is_file():
        return load_checkpoint(folder, kind=KIND)
    with conversion_errors():
        return read_folder(folder)


def _build(
    config: dict[str, Any], arrays: dict[str, Any], *, name: str, dtype: DTypeLike
) -> MobileStyleGAN | StyleGAN2 | StyleGAN3:
    if config.get("family") not in _FAMILIES:
        raise CheckpointError(f"{name}: unknown generator family {config.get('family')!r}")
    make, make_config = _FAMILIES[config["family"]]
    shape: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config.items()
        if key != "family"
    }
    try:
        # All arrays at once: JAX compiles a program for each new shape that it is given alone.
        return make(make_config(**shape), jax.device_put(arrays), dtype=dtype)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{name}: damaged: {error}") from error


def save_generator(generator: AnyGenerator, folder: str | Path) -> Path:
    """Write a generator to a checkpoint folder, which `load_generator` reads.

    Raises:
        InputError: if the generator is limited to one class.
        OutputError: if the folder cannot be written.

    Examples:
        >>> import jax, jaxedit
        >>> from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
        >>> from jaxedit.generators.stylegan2.initial import initial_params
        >>> config = StyleGAN2Config.of_size(32, channel_max=16, z_dim=16, w_dim=16)
        >>> generator = StyleGAN2(config, initial_params(config, jax.random.key(0)))
        >>> folder = jaxedit.save_generator(generator, "small")
        >>> jaxedit.load_generator(folder).resolution
        32
    """
    return save_checkpoint(folder, kind=KIND, config=generator.describe(), arrays=module_params(generator))


def load_axes(name: str | Path, generator: Generator | None = None, *, check: bool = True) -> AttributeAxes:
    """Load attribute axes.

    Args:
        name: a known generator, whose axes ship with the package; or a folder of `AttributeAxes.save` or
            `save_pretrained`. The shipped axes are in half precision: their edits agree to 1e-3 with those of axes that
            are learned again.
        generator: whose latents they shall edit; with it the axes are checked against its weights and shape.
        check: False for axes that forget their generator, and edit the latents of any other that shares its W (a
            distilled or fine-tuned one). Only the shape is checked then.

    Raises:
        InputError: if the name is neither known nor a folder of axes, or the axes are of another generator or class.
        CheckpointError: if the folder is damaged, foreign or newer.

    Examples:
        >>> import jaxedit
        >>> axes = jaxedit.load_axes("mobile-stylegan-ffhq")
        >>> axes.attribute_names[:3], axes.attribute_units[0]
        (('age', 'gender', 'smile'), 'years')
    """
    axes = _load_axes(name)
    if not check:
        axes = dataclasses.replace(axes, generator_fingerprint=None)
    if generator is not None:
        axes.check_generator(generator, name=f"axes {str(name)!r}")
    return axes


def _load_axes(name: str | Path) -> AttributeAxes:
    if str(name) in KNOWN_GENERATORS:
        path = data_path(KNOWN_GENERATORS[str(name)].axes)
        config, arrays = read_array_tree(path, kind=AXES_KIND, expected="the axes of the package")
        axes = AttributeAxes(
            **from_checkpoint(config, jax.device_put(jax.tree.map(_single_precision, arrays)))
        )
        return _with_shipped_ranges(with_layer_curves(axes, str(name)), str(name))
    recover(name)
    if not as_path(name).exists():
        raise InputError(
            f"axes {str(name)!r}: expected one of {', '.join(KNOWN_GENERATORS)}, or a folder of axes"
        )
    if is_axes_folder(as_path(name)):
        return read_axes(as_path(name))
    if Path(name).is_dir() and (kind := read_metadata(name)["kind"]) != AXES_KIND:
        hint = "; `jaxedit label` and `jaxedit learn` make axes of it" if kind == KIND else ""
        raise CheckpointError(f"{name}: expected a folder of axes, found one of kind {kind!r}{hint}")
    return AttributeAxes.load(name)


def _single_precision(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def with_layer_curves(axes: AttributeAxes, name: str) -> AttributeAxes:
    """Axes of a known generator with the shipped curves, so that they edit in W+.

    Raises:
        InputError: if the axes are not of this generator, or have attributes without shipped curves.
    """
    path = data_path(KNOWN_GENERATORS[name].curves)
    return dataclasses.replace(axes, curves=load_layer_curves(path, axes.attribute_names, axes.pca))


def _with_shipped_ranges(axes: AttributeAxes, name: str) -> AttributeAxes:
    path = data_path(KNOWN_GENERATORS[name].ranges)
    found = read_json(path, expected="the ranges of the package")
    rows = [found.get(attribute, [np.nan, np.nan]) for attribute in axes.attribute_names]
    return dataclasses.replace(axes, ranges=np.asarray(rows, np.float32))


def load_labelled_latents(name: str | Path, generator: Generator | None = None) -> LabelledLatents:
    """Load latents with the attribute values of their images.

    Only the labels are stored. The latents are drawn and mapped again, which takes seconds, and checked against their
    fingerprints.

    Args:
        name: a known generator, whose labels ship with the package; or a file of labels or a folder of
            `jaxedit label`.
        generator: the labeled generator, if it is at hand; else it is loaded by the name that the labels hold.

    Raises:
        InputError: if the name is neither known nor a file, the file is damaged, or the generator makes other latents.
        DownloadError, CheckpointError, OutputError: as `load_generator`.

    Examples:
        >>> import jaxedit
        >>> dataset = jaxedit.load_labelled_latents("mobile-stylegan-ffhq")
        >>> dataset.w.shape, dataset.values.shape
        ((8192, 512), (8192, 33))
    """
    if str(name) in KNOWN_GENERATORS:
        path = data_path(KNOWN_GENERATORS[str(name)].labels)
    elif as_path(name).exists():
        path = as_path(name) / _LABELS_FILE if as_path(name).is_dir() else as_path(name)
    else:
        raise InputError(
            f"labels {str(name)!r}: expected one of {', '.join(KNOWN_GENERATORS)}, or a file or folder of labels"
        )
    labels = load_labels(path)
    return labels.with_latents(generator or load_generator(labels.generator), name=str(path))
