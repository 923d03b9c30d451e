"""Commands about weights: fetch, convert, export."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from jaxedit.cli.options import DEFAULT_GENERATOR


class WeightsFormat(enum.StrEnum):
    """Format of the folder that `jaxedit convert` writes."""

    CHECKPOINT = "checkpoint"
    SAFETENSORS = "safetensors"


def fetch(
    name: Annotated[
        str, typer.Argument(help="Weights: mobile-stylegan-ffhq, face-api or lpips.")
    ] = DEFAULT_GENERATOR,
) -> None:
    """Download pretrained weights into the cache.

    The other commands fetch what they need. This command prepares for work without a network.

    \b
    Examples:
      jaxedit fetch                    the face generator, 38 MB
      jaxedit fetch face-api           the face networks of `jaxedit label` and `jaxedit align`, 13 MB, through npm
      jaxedit fetch lpips              the perceptual distance, 64 MB
    """
    from jaxedit.pretrained.fetching import fetch_weights

    folder = fetch_weights(name)
    print(f"{name} is in {folder}")


def convert(
    file: Annotated[Path, typer.Argument(help="Foreign weights. The content tells the format.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the converted generator.")],
    format_: Annotated[
        WeightsFormat,
        typer.Option("--format", help="Format of the folder: a checkpoint of this library, or safetensors."),
    ] = WeightsFormat.CHECKPOINT,
) -> None:
    """Convert a StyleGAN2 generator of another library.

    The other commands take the result as --generator. Sources: pickles of StyleGAN2-ADA and StyleGAN3 for PyTorch
    (their StyleGAN2 models), pickles of StyleGAN2 and StyleGAN2-ADA for TensorFlow, checkpoints of stylegan2-pytorch
    (.pt), files of flaxmodels (.h5), and safetensors folders of `jaxedit export`. None of these libraries is needed,
    and no code of the file is run.

    \b
    Examples:
      jaxedit convert stylegan2-ffhq.pkl --out ffhq                          a folder for the other commands
      jaxedit convert stylegan2-ffhq.pkl --out open --format safetensors     a folder for other libraries
      jaxedit info ffhq                                                      what the folder holds
    """
    from jaxedit.pretrained.conversion import convert_generator

    converted = convert_generator(file, out, file_format=format_.value)
    print(f"{file}: {converted.source_format}")
    print(converted.summary)
    print(out)


def export(
    generator: Annotated[str, typer.Argument(help="Known generator, or folder of a converted checkpoint.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the export.")],
) -> None:
    """Write a generator as open files.

    The files are config.json and model.safetensors. `jaxedit convert` reads them again.

    \b
    Examples:
      jaxedit export mobile-stylegan-ffhq --out open      the default generator
      jaxedit export ffhq --out open                      a converted generator
      jaxedit convert open --out again                    back to a checkpoint
    """
    from jaxedit.pretrained.conversion import export_generator
    from jaxedit.pretrained.registry import load_generator

    print(export_generator(load_generator(generator), out))
    print(out)
