"""Generators by name: the source fetched (pinned, cached), converted once, kept as a checkpoint, loaded."""

import dataclasses
import importlib.resources
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import DTypeLike

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.config import AxesConfig
from jaxedit.axes.layer_curves import load_layer_curves
from jaxedit.axes.learning.learn import learn_axes
from jaxedit.errors import CheckpointError, InputError, conversion_errors
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.mobile_stylegan import MobileStyleGAN, MobileStyleGANConfig
from jaxedit.generators.protocol import Generator
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.labeling import LABELS_FILE
from jaxedit.labels.labels_file import load_labels
from jaxedit.latents.pca import fit_pca
from jaxedit.nn.parameters import module_params
from jaxedit.storage.cache import cached, cached_checkpoint, checkpoint_folder, locked
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint
from jaxedit.storage.download import RANDOM_FACE, Source, fetch
from weights_conversion.models.mobile_stylegan import convert_wheel
from weights_conversion.safetensors_folder import CONFIG_FILE, read_folder

KIND = "generator"

_FAMILIES = {
    MobileStyleGAN.family: (MobileStyleGAN, MobileStyleGANConfig),
    StyleGAN2.family: (StyleGAN2, StyleGAN2Config),
}


class KnownGenerator(NamedTuple):
    """A generator that is loaded by name."""

    source: Source
    convert: Callable[[Path], tuple[dict[str, Any], dict[str, Any]]]
    layout: int
    """Part of the folder's name in the cache: raised whenever the converted names, shapes or numbers change."""
    labels: str
    """The package's file of labels for it."""
    steps: str
    """The package's file of the layer curves of its axes."""
    evaluation: str
    """The package's file of what its axes, and others, do in images."""
    license_note: str
    """What the license of the weights says, for people."""


KNOWN_GENERATORS = {
    "mobile-stylegan-ffhq": KnownGenerator(
        RANDOM_FACE,
        convert_wheel,
        1,
        "mobile_stylegan_ffhq_labels.npz",
        "mobile_stylegan_ffhq_curves.npz",
        "mobile_stylegan_ffhq_evaluation.json",
        "The weights of mobile-stylegan-ffhq descend from NVIDIA's StyleGAN2 trained on FFHQ, whose data and code are "
        "for non-commercial research.",
    )
}


def load_generator(
    name: str | Path, *, dtype: DTypeLike = jnp.float32
) -> MobileStyleGAN | StyleGAN2 | ConditionedGenerator:
    """A pretrained generator.

    Args:
        name: a known name (`mobile-stylegan-ffhq`: faces at 1024²), or a folder that `jaxedit convert`, `export` or
            `save_generator` wrote; `FOLDER#2` keeps a conditional generator to its class 2. A known generator is
            fetched and converted on first use (37.6 MB) and then kept in the cache.
        dtype: in which the synthesis network computes: float32 or bfloat16 (a StyleGAN2's four highest resolutions).

    Raises:
        InputError: if the name is neither known nor a folder, there is no such class, or the dtype is another.
        DownloadError: if the source cannot be fetched.
        CheckpointError: if the folder is damaged, foreign or newer.
        OutputError: if the cache cannot be written.
    """
    if jnp.dtype(dtype) not in (jnp.float32, jnp.bfloat16):
        raise InputError(f"dtype: expected float32 or bfloat16, got {jnp.dtype(dtype)}")
    known = KNOWN_GENERATORS.get(str(name))
    folder, mark, class_index = str(name).rpartition("#")
    is_class = bool(mark) and class_index.isdecimal() and not Path(name).exists()
    if known is not None:
        config, arrays = cached_checkpoint(
            f"{name}-{known.source.version}-{known.layout}",
            kind=KIND,
            make=lambda: known.convert(fetch(known.source)),
        )
    elif is_class and Path(folder).exists():
        config, arrays = _read(Path(folder))
    elif Path(name).exists():
        config, arrays = _read(Path(name))
    else:
        raise InputError(
            f"generator {str(name)!r}: expected one of {', '.join(KNOWN_GENERATORS)}, or a checkpoint folder"
        )
    if config.get("family") not in _FAMILIES:
        raise CheckpointError(f"{name}: unknown generator family {config.get('family')!r}")
    make, make_config = _FAMILIES[config["family"]]
    try:
        shape: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in config.items()
            if key != "family"
        }
        generator = make(make_config(**shape), arrays, dtype=dtype)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{name}: damaged: {error}") from error
    return ConditionedGenerator(generator, int(class_index)) if is_class else generator


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Config and arrays of a checkpoint folder or a safetensors folder."""
    if not (folder / CONFIG_FILE).is_file():
        return load_checkpoint(folder, kind=KIND)
    with conversion_errors():
        return read_folder(folder)


def save_generator(generator: MobileStyleGAN | StyleGAN2 | ConditionedGenerator, folder: str | Path) -> Path:
    """Write a generator to a checkpoint folder, which `load_generator` reads.

    Raises:
        InputError: if the generator is kept to one class.
        OutputError: if the folder cannot be written.
    """
    return save_checkpoint(folder, kind=KIND, config=generator.describe(), arrays=module_params(generator))


def load_axes(name: str | Path, *, progress: bool = True) -> AttributeAxes:
    """Attribute axes.

    Args:
        name: a known generator, or a folder that `AttributeAxes.save` wrote. The axes of a known generator are learnt
            on first use, from the labels that come along and with the default settings (about half a minute on two
            CPU cores), given the layer curves that come along, and then kept in the cache.
        progress: whether to show a bar where axes are learnt.

    Raises:
        InputError: if the name is neither known nor a folder.
        DownloadError: if the generator cannot be fetched.
        CheckpointError: if the folder is damaged, foreign or newer.
        OutputError: if the cache cannot be written.
    """
    if str(name) not in KNOWN_GENERATORS:
        if not Path(name).exists():
            raise InputError(
                f"axes {str(name)!r}: expected one of {', '.join(KNOWN_GENERATORS)}, or a folder of axes"
            )
        return AttributeAxes.load(name)

    def learn(folder: Path) -> AttributeAxes:
        dataset = load_labelled_latents(name)
        axes = learn_axes(dataset, fit_pca(dataset.w), AxesConfig(), progress=progress)
        axes = with_layer_curves(axes, str(name))
        axes.save(folder)
        return axes

    return cached(_axes_folder(str(name)), load=AttributeAxes.load, make=learn)


def with_layer_curves(axes: AttributeAxes, name: str) -> AttributeAxes:
    """Axes of a known generator with the layer curves that come along, so that they edit in W+.

    Raises:
        InputError: if the axes are not of this generator, or have attributes for which no steps come along.
    """
    path = _data_path(KNOWN_GENERATORS[name].steps)
    curves = load_layer_curves(path, axes.attribute_names, axes.pca)
    return dataclasses.replace(axes, curves=curves)


def cache_axes(name: str, axes: AttributeAxes) -> Path:
    """Keep axes in the cache as those that `load_axes` gives for a known generator.

    Raises:
        OutputError: if the cache cannot be written.
    """
    folder = _axes_folder(name)
    with locked(folder):
        return axes.save(folder)


def _axes_folder(name: str) -> Path:
    """Where the axes of a known generator are kept; other labels, settings or weights have another folder."""
    known = KNOWN_GENERATORS[name]
    files = _data_path(known.labels).read_bytes() + _data_path(known.steps).read_bytes()
    identity = repr((AxesConfig(), known.layout)).encode() + files
    return checkpoint_folder(f"{name}-axes-{zlib.crc32(identity):08x}")


def load_labelled_latents(name: str | Path, generator: Generator | None = None) -> LabelledLatents:
    """Latents with the attribute values of their images.

    Args:
        name: a known generator, whose labels ship with the package; or a file of labels or the folder that
            `jaxedit label` made. Only the labels are stored: the latents are drawn and mapped again, which takes
            seconds, and checked against their fingerprints.
        generator: the labelled generator, if it is at hand; else it is loaded by the name that the labels hold.

    Raises:
        InputError: if the name is neither known nor a file, the file is damaged, or the latents are other ones.
        DownloadError, CheckpointError, OutputError: as `load_generator` does.
    """
    if str(name) in KNOWN_GENERATORS:
        path = _data_path(KNOWN_GENERATORS[str(name)].labels)
    elif Path(name).exists():
        path = Path(name) / LABELS_FILE if Path(name).is_dir() else Path(name)
    else:
        raise InputError(
            f"labels {str(name)!r}: expected one of {', '.join(KNOWN_GENERATORS)}, or a file or folder of labels"
        )
    labels = load_labels(path)
    return labels.with_latents(generator or load_generator(labels.generator), name=str(path))


def evaluation_path(name: str) -> Path:
    """The file of what the axes of a known generator do in images (`jaxedit.evaluation.report.published`).

    Raises:
        InputError: if the name is unknown.
    """
    if name not in KNOWN_GENERATORS:
        raise InputError(f"evaluation {name!r}: expected one of {', '.join(KNOWN_GENERATORS)}")
    return _data_path(KNOWN_GENERATORS[name].evaluation)


def _data_path(name: str) -> Path:
    """A file that ships with the package."""
    return Path(str(importlib.resources.files("jaxedit.pretrained"))) / "data" / name
