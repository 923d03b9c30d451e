"""The command from a generator to its encoder: train-encoder."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jaxedit.cli.options import DEFAULT_GENERATOR, GeneratorOption
from jaxedit.cli.parsing import check_class


def train_encoder(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the encoder.")],
    generator: GeneratorOption = DEFAULT_GENERATOR,
    num_latents: Annotated[
        int | None, typer.Option("--num-latents", "-n", help="Number of images to learn from.")
    ] = None,
    num_passes: Annotated[
        int | None,
        typer.Option(help="1: see an image once. 2: also go on from the image of the first latent."),
    ] = None,
    num_steps: Annotated[int | None, typer.Option(help="Number of training steps for each pass.")] = None,
    side: Annotated[
        int | None, typer.Option(help="Pixels a side of the images that the encoder sees.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images rendered at once: 4 suits a CPU, 32 an accelerator.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", "-s", help="Seed of images and training.")] = None,
) -> None:
    """Train an encoder: from an image to its latent in one pass.

    The generator draws its own images to learn from, and versions of them with the light, blur and compression of
    photographs. The presets instant and quick of `project`, `edit --photo` and `read` start at the encoder's latent.
    One ships for the default generator.

    Interrupted runs resume: start the command again with the same options. Until the encoder is done, the folder
    OUT.training keeps the state.

    \b
    Examples:
      jaxedit train-encoder -g cats --out cat-encoder             takes hours on a CPU
      jaxedit train-encoder -g cats --out cat-encoder -n 4096     from fewer images: sooner, less likeness
      jaxedit project tom.jpg -g cats --aligned --encoder cat-encoder --preset instant --out tom
    """
    import dataclasses

    from jaxedit.inversion.encoder import KIND
    from jaxedit.inversion.encoder_config import EncoderTrainingConfig
    from jaxedit.inversion.encoder_training import RUN_KIND
    from jaxedit.inversion.encoder_training import train_encoder as train
    from jaxedit.pretrained.registry import load_generator
    from jaxedit.storage.checkpoints import check_checkpoint_target
    from jaxedit.storage.runs import RunFolder

    unfinished = out.with_name(f"{out.name}.training")
    check_checkpoint_target(out, kind=KIND)
    RunFolder.check_target(unfinished, kind=RUN_KIND)
    changes: dict[str, Any] = {
        "num_latents": num_latents,
        "num_passes": num_passes,
        "num_steps": num_steps,
        "side": side,
        "render_batch_size": batch_size,
        "seed": seed,
    }
    config = dataclasses.replace(
        EncoderTrainingConfig(), **{name: value for name, value in changes.items() if value is not None}
    )
    model = load_generator(generator)
    check_class(model, generator)
    encoder = train(model, config, out=unfinished)
    encoder.save(out)
    RunFolder.load(unfinished, kind=RUN_KIND).remove()
    print(f"encoder: {out}")
