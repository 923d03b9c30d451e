"""Generators of other libraries, converted to folders of this one and to open files."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from jaxedit.errors import InputError, OutputError, conversion_errors
from jaxedit.generators.stylegan3.generator import StyleGAN3
from jaxedit.nn.parameters import module_params
from jaxedit.pretrained.registry import KIND, AnyGenerator
from jaxedit.storage.atomic import check_writable, whole_folder
from jaxedit.storage.checkpoints import check_checkpoint_target, save_checkpoint
from jaxedit.storage.paths import as_path
from weights_conversion.detect import read_generator
from weights_conversion.errors import ExportError
from weights_conversion.models.conversion import Options
from weights_conversion.safetensors_folder import check_target, write_files


class ConvertedGenerator(NamedTuple):
    """Result of a conversion, in words."""

    source_format: str
    """The foreign format, such as "pickle of StyleGAN2 for TensorFlow"."""
    summary: str
    """Family, resolution, architecture, labels and number of parameters, in one line."""
    notes: tuple[str, ...] = ()
    """What was assumed or drawn because the file does not hold it."""


def convert_generator(
    file: str | Path,
    folder: str | Path,
    *,
    file_format: Literal["checkpoint", "safetensors"] = "checkpoint",
    conv_clamp: float | Literal["unknown"] | None = "unknown",
    lr_multiplier: float = 0.01,
) -> ConvertedGenerator:
    """Convert the generator of another library. The file's own code is never run.

    Args:
        file: the foreign weights. The content tells the format.
        folder: the converted generator, which `load_generator` reads in either format.
        file_format: "checkpoint" for a checkpoint of this library, "safetensors" for open files.
        conv_clamp: for a plain state dict of NVIDIA's code, which does not hold it: a number, or None for no clamp.
        lr_multiplier: of the mapping network, for such a state dict.

    Raises:
        InputError: if an option is not a positive number.
        CheckpointError: if the file is damaged, or of no known format.
        OutputError: if the folder cannot be written.
    """
    numbers = {"lr_multiplier": lr_multiplier}
    if isinstance(conv_clamp, int | float):
        numbers["conv_clamp"] = conv_clamp = float(conv_clamp)
    for option, number in numbers.items():
        if not 0 < number < 1e6:
            raise InputError(f"{option}: expected a positive number, got {number}")
    _check_target(folder, file_format)
    with conversion_errors():
        found = read_generator(as_path(file), Options(conv_clamp, lr_multiplier))
    config, arrays = found.config, found.params
    if file_format == "safetensors":
        _write_open_files(folder, config, arrays)
    else:
        save_checkpoint(folder, kind=KIND, config=config, arrays=arrays)
    return ConvertedGenerator(found.description, _summary(config, arrays), found.notes)


def export_generator(generator: AnyGenerator, folder: str | Path) -> str:
    """Write a generator as open files: config.json and model.safetensors.

    Returns:
        Family, resolution, architecture, labels and number of parameters, in one line.

    Raises:
        InputError: if the generator is limited to one class.
        OutputError: if the folder cannot be written.
    """
    _check_target(folder, "safetensors")
    config, arrays = generator.describe(), module_params(generator)
    _write_open_files(folder, config, arrays)
    return _summary(config, arrays)


def _write_open_files(folder: str | Path, config: dict[str, Any], arrays: dict[str, Any]) -> None:
    with conversion_errors(), whole_folder(folder, check=check_target) as temporary:
        try:
            write_files(temporary, config, arrays)
        except ExportError as error:
            raise OutputError(str(error).replace(str(temporary), str(folder))) from error


def _check_target(folder: str | Path, file_format: str) -> None:
    """Refuse a folder that may not be written, before the work."""
    if file_format == "checkpoint":
        check_checkpoint_target(folder, kind=KIND)
        return
    with conversion_errors():
        check_target(folder)
    check_writable(as_path(folder).absolute().parent)


def _summary(config: dict[str, Any], arrays: dict[str, Any]) -> str:
    labels, start = config.get("c_dim", 0), config.get("constant_size", (1, 1))
    height, width = (config["resolution"] * length // max(start) for length in start)
    count = sum(leaf.size for leaf in jax.tree.leaves(arrays))
    parts = [config["family"], f"{width} × {height}"]
    if config.get("image_channels", 3) != 3:
        parts.append(f"{config['image_channels']} channels")
    kind = config.get("architecture")
    if config["family"] == StyleGAN3.family:
        kind = "R" if config["conv_kernel"] == 1 else "T"
    if kind is not None:
        parts += [kind, f"{labels} labels" if labels else "unconditional"]
    return ", ".join([*parts, f"{count / 1e6:.1f} million numbers"])
