"""The command from axes in W to axes with curves: refine."""

import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from jaxedit.cli.options import DEFAULT_GENERATOR, DevicesOption, ForceOption, GeneratorOption
from jaxedit.cli.parsing import axes_name, check_class, parse_names


class Method(enum.StrEnum):
    """How curves are learned."""

    GRADIENTS = "gradients"
    REGRESSION = "regression"


def refine(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the refined axes.")],
    axes: Annotated[
        str | None, typer.Option(help="Folder of `jaxedit learn`. Default: the axes of a known generator.")
    ] = None,
    generator: GeneratorOption = DEFAULT_GENERATOR,
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            help="A folder of `jaxedit teach`, FILE.py:NAME (a classifier of your own, differentiable in the image), "
            "or faces. May be given more than once. Default: the networks of a known generator."
        ),
    ] = None,
    independent: Annotated[
        list[str] | None,
        typer.Option(
            help="FILE.py:NAME, a further classifier with names ATTRIBUTE@NETWORK, which the edits must please too. "
            "May be given more than once."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="JSON file of settings. Default: those that ship for a known generator, or none."),
    ] = None,
    attributes: Annotated[
        str | None, typer.Option(help="Attributes to refine, separated by commas. Default: all.")
    ] = None,
    num_latents: Annotated[int | None, typer.Option(help="Number of latents to learn from.")] = None,
    num_derivatives: Annotated[
        int | None, typer.Option(help="Number of latents at which derivatives are taken.")
    ] = None,
    num_images: Annotated[int | None, typer.Option(help="Number of images for each attribute.")] = None,
    num_calibration_latents: Annotated[
        int | None, typer.Option(help="Number of latents on which the curves are measured in full images.")
    ] = None,
    method: Annotated[
        Method | None,
        typer.Option(help="regression: for a classifier that is not differentiable; works less well."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Full images in a batch: 4 suits a CPU, 32 an accelerator.")
    ] = None,
    gradient_batch_size: Annotated[
        int | None,
        typer.Option(help="Images whose gradients are taken at once: 1 suits a CPU, 8 an accelerator."),
    ] = None,
    devices: DevicesOption = None,
    force: ForceOption = False,
    seed: Annotated[int | None, typer.Option("--seed", "-s", help="Seed of the latents and amounts.")] = None,
    curves: Annotated[
        Path | None,
        typer.Option(help="File for the curves alone (.npz), as they ship for a known generator."),
    ] = None,
) -> None:
    """Refine axes through rendered images.

    Each axis gets a curve for each group of layers, so that edits change less of everything else.

    Interrupted runs resume: start the command again with the same options. Until the axes are done, the folder
    OUT.refinement keeps the state.

    \b
    Examples:
      jaxedit refine -g cats --axes fur-axes --classifier cats.py:Fur -o refined      axes of your own
      jaxedit refine -g cats --axes fur-axes --classifier cats.py:Fur -o refined --num-images 160
      jaxedit refine --out axes --curves curves.npz          the shipped curves of the face generator, made again:
                                                             hours on two CPU cores
      jaxedit edit -g cats --axes refined --seed 7 fluffy=+1.5
    """
    import dataclasses

    from jaxedit import parallel
    from jaxedit.attributes.user_classifier import load_classifier, load_classifiers
    from jaxedit.axes.curve_learning.config import RefinementConfig
    from jaxedit.axes.curve_learning.image_reader import RefinementNetworks
    from jaxedit.axes.curve_learning.refine import RUN_KIND, refine_axes
    from jaxedit.axes.layer_curves import save_layer_curves
    from jaxedit.errors import InputError
    from jaxedit.pretrained.refinement import has_refinement, load_refinement
    from jaxedit.pretrained.registry import AXES_KIND, load_axes, load_generator
    from jaxedit.storage.checkpoints import check_checkpoint_target
    from jaxedit.storage.runs import RunFolder

    unfinished = out.with_name(f"{out.name}.refinement")
    check_checkpoint_target(out, kind=AXES_KIND)
    RunFolder.check_target(unfinished, kind=RUN_KIND)
    is_known = has_refinement(generator)
    axes_name(axes, generator)
    if not classifier and not is_known:
        raise InputError(
            f"--classifier: expected FILE.py:NAME for {generator}, or a folder of `jaxedit teach`, got none"
        )
    model = load_generator(generator)
    check_class(model, generator)
    old = load_axes(axes_name(axes, generator), model, check=not force)
    if not classifier:
        known = load_refinement(generator, old.attribute_names)
        settings, reader, networks = known.config, known.classifier, known.networks
    else:
        settings, reader, networks = RefinementConfig(), load_classifiers(classifier), RefinementNetworks()
    if config is not None:
        settings = RefinementConfig.load(config)
    further = tuple(load_classifier(where) for where in independent or ())
    networks = dataclasses.replace(networks, independent=(*networks.independent, *further))
    changes: dict[str, Any] = {
        "attributes": None if attributes is None else parse_names(attributes),
        "num_latents": num_latents,
        "num_derivatives": num_derivatives,
        "num_images": num_images,
        "num_calibration_latents": num_calibration_latents,
        "method": None if method is None else method.value,
        "batch_size": batch_size,
        "gradient_batch_size": gradient_batch_size,
        "seed": seed,
    }
    settings = dataclasses.replace(settings, **{k: v for k, v in changes.items() if v is not None})
    mesh = parallel.fitting_mesh(settings.batch_size, devices)
    refined = refine_axes(
        model,
        old,
        reader,
        settings,
        networks=networks,
        out=unfinished,
        mesh=mesh if mesh.size > 1 else None,
    )
    refined.save(out)
    if curves is not None:
        assert refined.curves is not None
        save_layer_curves(curves, refined.curves, refined.attribute_names, refined.pca)
        print(f"curves: {curves}")
    RunFolder.load(unfinished, kind=RUN_KIND).remove()
    print(f"axes: {out}")
