"""Generators and axes as folders in the layout of the Hugging Face hub.

`config.json`, the arrays (`model.safetensors` of a generator, `axes.safetensors` of axes) and `README.md`, the model
card. Files of arrays hold hashes of themselves and of the config. Everything in a folder is data: no code is in it,
and none is run.
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.checkpoint import from_checkpoint, to_checkpoint
from jaxedit.errors import CheckpointError, InputError, OutputError, conversion_errors
from jaxedit.generators.mapping import MappedGenerator
from jaxedit.nn.parameters import module_params
from jaxedit.pretrained.model_card import CardDetails, axes_card, generator_card
from jaxedit.storage.atomic import check_free, check_nothing_there, whole_folder
from jaxedit.storage.paths import as_path
from jaxedit.storage.regular_files import read_json
from weights_conversion.formats.safetensors_file import (
    describe_hashes,
    hash_of_config,
    read_hashes,
    read_safetensors,
)
from weights_conversion.safetensors_folder import CONFIG_FILE, write_files
from weights_conversion.table import flatten, nest

AXES_FORMAT = "jaxedit-axes"
AXES_FORMAT_VERSION = 1
"""Raised whenever older code could not read what newer code writes."""
AXES_FILE = "axes.safetensors"
CARD_FILE = "README.md"

_TYPES = ("F32", "I32", "I64")


def save_pretrained(model: Any, folder: str | Path, details: CardDetails | None = None) -> Path:
    """Write a generator or axes as a folder in the layout of the Hugging Face hub, with a model card.

    Args:
        model: a generator of `load_generator`, or `AttributeAxes`.
        folder: where to: a free name or an empty folder.
        details: licence and labels in words, for the card.

    Raises:
        InputError: if the model is something else, or a generator whose class is chosen.
        OutputError: if the folder is not empty or cannot be written.

    Examples:
        >>> import jaxedit
        >>> axes = jaxedit.load_axes("mobile-stylegan-ffhq")
        >>> folder = jaxedit.save_pretrained(axes, "shared-axes")
        >>> sorted(path.name for path in folder.iterdir())
        ['README.md', 'axes.safetensors', 'config.json']
        >>> jaxedit.from_pretrained(folder).num_attributes
        33
    """
    details = details or CardDetails()
    folder = as_path(folder)
    is_axes = isinstance(model, AttributeAxes)
    if not is_axes and not hasattr(model, "describe"):
        raise InputError(f"model: expected a generator or axes, got {type(model).__name__}")
    # Asked before the work: a generator whose class is chosen refuses.
    config, arrays = to_checkpoint(model) if is_axes else (model.describe(), None)
    check_free(folder)
    with conversion_errors(), whole_folder(folder, check=check_nothing_there) as temporary:
        if is_axes:
            _write_axes(temporary, config, arrays)
            card = axes_card(model, details)
        else:
            arrays = module_params(model)
            write_files(temporary, config, arrays)
            card = generator_card(config, sum(leaf.size for leaf in jax.tree.leaves(arrays)), details)
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")
    return folder


def _write_axes(folder: Path, config: dict[str, Any], arrays: Any) -> None:
    flat = {name: np.ascontiguousarray(array) for name, array in flatten(arrays).items()}
    config = json.loads(json.dumps(config))
    described = {"format": AXES_FORMAT, "format_version": AXES_FORMAT_VERSION, "config": config}
    (folder / CONFIG_FILE).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    try:
        save_file(flat, folder / AXES_FILE, metadata=describe_hashes(flat, config))
    except SafetensorError as error:
        raise OutputError(f"{folder}: could not write the axes: {error}") from error
    (folder / AXES_FILE).chmod(0o644)


def is_axes_folder(folder: Path) -> bool:
    """Whether a folder holds axes of `save_pretrained`, whole or not."""
    return (folder / AXES_FILE).is_file()


def read_axes(folder: Path) -> AttributeAxes:
    """Read axes that `save_pretrained` wrote.

    Raises:
        CheckpointError: if a file is missing, damaged, foreign or newer.
    """
    path = folder / CONFIG_FILE
    try:
        described = read_json(path, expected="the config of shared axes")
    except InputError as error:
        raise CheckpointError(str(error)) from error
    if described.get("format") != AXES_FORMAT:
        raise CheckpointError(f"{path}: expected a config of the format {AXES_FORMAT}, found another")
    version, config = described.get("format_version"), described.get("config")
    if type(version) is not int or not isinstance(config, dict):
        raise CheckpointError(f"{path}: damaged: format_version or config is missing")
    if version > AXES_FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: written in format version {version}, read up to {AXES_FORMAT_VERSION}: update jaxedit"
        )
    with conversion_errors():
        file = folder / AXES_FILE
        flat = read_safetensors(file, types=_TYPES)
        hashes = read_hashes(file)
        arrays = nest(flat, name=str(file))
    if hashes is not None and hashes["config"] != hash_of_config(config):
        raise CheckpointError(f"{path}: damaged: not the config that was written (its hash differs)")
    try:
        return AttributeAxes(**from_checkpoint(config, arrays))
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error


SharedModel = MappedGenerator | AttributeAxes
"""What can be shared."""
