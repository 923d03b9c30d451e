"""Commands from images to axes: label, learn."""

import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxedit.cli.options import DEFAULT_GENERATOR, DevicesOption, GeneratorOption, SeedOption
from jaxedit.cli.parsing import check_class, parse_names


def label(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the labels, new or unfinished.")],
    num_samples: Annotated[int, typer.Option("--num-samples", "-n", help="Number of faces.")] = 8192,
    seed: SeedOption = 0,
    generator: GeneratorOption = DEFAULT_GENERATOR,
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            help="A folder of `jaxedit teach`, FILE.py:NAME (a classifier of your own), or faces, the face networks. "
            "May be given more than once: of two attributes of one name, the later is kept. Default: faces."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Faces in a batch: 8 suits a CPU, 32 an accelerator.")] = 8,
    shard_size: Annotated[int, typer.Option(help="Faces in a file, a multiple of the batch size.")] = 256,
    devices: DevicesOption = None,
    distributed: Annotated[
        bool,
        typer.Option(
            "--distributed",
            help="One of several processes, on one host or many, that share the work. Start all with the same "
            "options.",
        ),
    ] = False,
) -> None:
    """Generate images and measure their attributes, for `learn`.

    Interrupted runs resume: start the command again with the same options, on any number of devices.
    With --distributed the processes find each other through JAX_COORDINATOR_ADDRESS (host:port of the first),
    JAX_NUM_PROCESSES and JAX_PROCESS_ID, or on their own on a TPU slice and under Slurm.

    \b
    Examples:
      jaxedit label --out labels                                 8192 faces, about 15 minutes on two CPU cores
      jaxedit label --out labels -n 50000 --batch-size 64        more faces, on an accelerator
      jaxedit label -g cats --classifier cats.py:Fur -o fur      a converted generator and a classifier of your own
      jaxedit label --classifier faces --classifier hats -o more  beside the face networks, one that was taught
      jaxedit label --out labels --batch-size 256 --distributed  on each host of a TPU slice
    """
    from jaxedit import parallel
    from jaxedit.attributes.user_classifier import FACES, load_classifiers
    from jaxedit.labels import labeling
    from jaxedit.labels.config import LabelingConfig
    from jaxedit.pretrained.registry import load_generator
    from jaxedit.storage.runs import RunFolder

    if distributed:
        parallel.initialize()
    config = LabelingConfig(num_samples, seed, batch_size, shard_size)
    RunFolder.check_target(out, kind=labeling.RUN_KIND)
    model = load_generator(generator)
    check_class(model, generator)
    mesh = parallel.fitting_mesh(batch_size, devices)
    labels = labeling.label(
        model,
        load_classifiers(classifier or [FACES]),
        out,
        config,
        generator_name=generator,
        mesh=mesh if mesh.size > 1 else None,
    )
    print(
        f"{len(labels.values)} images × {len(labels.attribute_names)} attributes: {out / labeling.LABELS_FILE}"
    )


def learn(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the axes.")] = Path("axes"),
    labels: Annotated[
        Path | None, typer.Option(help="Folder of `jaxedit label`. Default: the shipped labels.")
    ] = None,
    annotations: Annotated[
        str | None,
        typer.Option(
            help="Labels read by eye: a known generator (for those that ship), a table, or a folder of "
            "`jaxedit annotate sheets`. They join the labels; of two attributes with one name, theirs is learned."
        ),
    ] = None,
    generator: GeneratorOption = DEFAULT_GENERATOR,
    attributes: Annotated[
        str | None, typer.Option(help="Attributes to learn, separated by commas. Default: all.")
    ] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="Settings of the published recipe, which is slow.")
    ] = False,
    num_components: Annotated[
        int | None, typer.Option(help="Number of principal components that go through the axes.")
    ] = None,
    num_steps: Annotated[int | None, typer.Option(help="Number of training steps.")] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Latents in a batch. Default: 256, or fewer where there are fewer labels."),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Learning rate of Adam.")] = None,
    attribute_weight: Annotated[float | None, typer.Option(help="Weight of the attribute loss.")] = None,
    decorrelation_weight: Annotated[
        float | None, typer.Option(help="Weight of the decorrelation loss.")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Learn attribute axes, and measure them on held-out faces.

    Interrupted runs resume: start the command again with the same options. Until the axes are done, the folder
    OUT.training keeps the state.

    \b
    Examples:
      jaxedit learn --out axes                                   from the shipped labels
      jaxedit learn --labels labels --out axes --num-steps 5000
      jaxedit learn --attributes age,smile,eyeglasses --out three
      jaxedit learn --annotations read --attributes headwear,age,gender,yaw --out hats
      jaxedit edit --axes axes --seed 7 age=+1.5                 an edit along these axes
    """
    import dataclasses

    from jaxedit.axes.config import AxesConfig
    from jaxedit.axes.learning.learn import TRAINING_KIND, learn_axes
    from jaxedit.axes.learning.split import largest_batch
    from jaxedit.latents.pca import fit_pca
    from jaxedit.pretrained.inspection import describe_axes
    from jaxedit.pretrained.registry import AXES_KIND
    from jaxedit.storage.checkpoints import check_checkpoint_target

    unfinished = out.with_name(f"{out.name}.training")
    check_checkpoint_target(out, kind=AXES_KIND)
    check_checkpoint_target(unfinished, kind=TRAINING_KIND)
    changes: dict[str, Any] = {
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "attribute_weight": attribute_weight,
        "decorrelation_weight": decorrelation_weight,
        "seed": seed,
    }
    config = AxesConfig.paper() if paper else AxesConfig()
    config = dataclasses.replace(config, **{k: v for k, v in changes.items() if v is not None})
    if num_steps is not None:
        config = dataclasses.replace(config, num_steps=num_steps, num_epochs=None)
    dataset = _labels_to_learn(labels, annotations, generator)
    most = largest_batch(len(dataset), config)
    if batch_size is None and 2 <= most < config.batch_size:
        print(f"jaxedit: batches of {most} latents, since there are {len(dataset)} labels", file=sys.stderr)
        config = dataclasses.replace(config, batch_size=most)
    if attributes is not None:
        dataset = dataset.select(parse_names(attributes))
    if num_components is None:
        pca = fit_pca(dataset.w, 60) if paper else fit_pca(dataset.w)
    else:
        pca = fit_pca(dataset.w, num_components)
    axes = learn_axes(dataset, pca, config, checkpoint_dir=unfinished)
    axes.save(out)
    shutil.rmtree(unfinished, ignore_errors=True)
    print(describe_axes(axes))
    print(f"axes: {out}")


def _labels_to_learn(labels: Path | None, annotations: str | None, generator: str) -> Any:
    """The labels of a folder, or the shipped ones; with those that were read by eye, if there are any."""
    from jaxedit.labels.dataset import join_latents
    from jaxedit.pretrained.annotations import load_annotations
    from jaxedit.pretrained.known_generators import KNOWN_GENERATORS
    from jaxedit.pretrained.registry import load_generator, load_labelled_latents

    # Without --generator it is the generator that the labels or the annotations name.
    model = None if generator == DEFAULT_GENERATOR else load_generator(generator)
    if annotations is None:
        return load_labelled_latents(generator if labels is None else labels, model)
    table = load_annotations(annotations)
    name = generator if table.images is None else table.images.generator
    model = load_generator(name) if model is None else model
    read = table.with_latents(model)
    counts = ", ".join(
        f"{n} {count}" for n, count in zip(read.attribute_names, read.known_counts, strict=True)
    )
    print(f"read by eye: {counts} of {len(read)} images")
    own = labels if labels is not None else name if name in KNOWN_GENERATORS else None
    if own is None:
        return read
    measured = load_labelled_latents(own, model)
    both = [attribute for attribute in measured.attribute_names if attribute in read.attribute_names]
    if both:
        print(f"{', '.join(both)}: read by eye, instead of measured")
    return join_latents(measured, read)
