"""Generators of other libraries, converted to folders of this one and to open files."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from jaxedit.errors import conversion_errors
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.stylegan2.generator import StyleGAN2
from jaxedit.nn.parameters import module_params
from jaxedit.pretrained.registry import KIND
from jaxedit.storage.checkpoints import save_checkpoint
from weights_conversion.detect import convert_file, describe_format
from weights_conversion.safetensors_folder import write_folder


class ConvertedGenerator(NamedTuple):
    """Result of a conversion, in words."""

    source_format: str
    """The foreign format, such as "pickle of StyleGAN2 for TensorFlow"."""
    summary: str
    """Family, resolution, architecture, labels and number of parameters, in one line."""


def convert_generator(
    file: str | Path, folder: str | Path, *, file_format: Literal["checkpoint", "safetensors"] = "checkpoint"
) -> ConvertedGenerator:
    """Convert the StyleGAN2 generator of another library. The file's own code is never run.

    Args:
        file: the foreign weights. The content tells the format.
        folder: the converted generator, which `load_generator` reads in either format.
        file_format: "checkpoint" for a checkpoint of this library, "safetensors" for open files.

    Raises:
        CheckpointError: if the file is damaged, or of no known format.
        OutputError: if the folder cannot be written.
    """
    with conversion_errors():
        source_format = describe_format(Path(file))
        config, arrays = convert_file(Path(file))
    if file_format == "safetensors":
        with conversion_errors():
            write_folder(Path(folder), config, arrays)
    else:
        save_checkpoint(folder, kind=KIND, config=config, arrays=arrays)
    return ConvertedGenerator(source_format, _summary(config, arrays))


def export_generator(generator: MobileStyleGAN | StyleGAN2 | ConditionedGenerator, folder: str | Path) -> str:
    """Write a generator as open files: config.json and model.safetensors.

    Returns:
        Family, resolution, architecture, labels and number of parameters, in one line.

    Raises:
        InputError: if the generator is limited to one class.
        OutputError: if the folder cannot be written.
    """
    config, arrays = generator.describe(), module_params(generator)
    with conversion_errors():
        write_folder(Path(folder), config, arrays)
    return _summary(config, arrays)


def _summary(config: dict[str, Any], arrays: dict[str, Any]) -> str:
    size, labels = config["resolution"], config.get("c_dim", 0)
    count = sum(leaf.size for leaf in jax.tree.leaves(arrays))
    parts = [config["family"], f"{size} × {size}"]
    if "architecture" in config:
        parts += [config["architecture"], f"{labels} labels" if labels else "unconditional"]
    return ", ".join([*parts, f"{count / 1e6:.1f} million numbers"])
