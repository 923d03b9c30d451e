"""The command that edits one face: edit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jaxedit.cli.options import (
    DEFAULT_GENERATOR,
    FaceOption,
    ForceOption,
    GeneratorOption,
    NumStepsOption,
    Preset,
    PresetOption,
)
from jaxedit.cli.parsing import axes_name, check_class, parse_edits, parse_face
from jaxedit.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from jaxedit.generators.protocol import Generator
    from jaxedit.latents.latent_files import SavedLatent

_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def edit(
    edits: Annotated[
        list[str], typer.Argument(metavar="ATTRIBUTE=AMOUNT...", help="Edits, such as age=+1.5")
    ],
    seed: Annotated[int | None, typer.Option("--seed", "-s", help="Seed of the face to edit.")] = None,
    nvidia_seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of NVIDIA's generate.py, instead of a seed of this library: with the same weights and "
            "truncation it gives the same face."
        ),
    ] = None,
    latent: Annotated[
        Path | None,
        typer.Option(
            "--latent",
            "--w",
            help="Latent of the face, instead of a seed: a folder of `jaxedit project`, its latent.npz, or a .npy, "
            ".npz, .pt or .pkl of another library, of W [512] or W+ [16, 512].",
        ),
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(help="With --latent: which latent of a file with several, by number from 0 or by name."),
    ] = None,
    photo: Annotated[
        Path | None,
        typer.Option(
            help="Photograph of the face, instead of a seed. Its largest face is aligned and projected, which takes "
            "minutes."
        ),
    ] = None,
    face: FaceOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="File of the image: .png, .jpg or .webp.")] = Path(
        "edited.png"
    ),
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Before and after, side by side. With --photo, the crop of the photograph comes first.",
        ),
    ] = False,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Amounts are values to reach, not moves.")
    ] = False,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Amounts in the attribute's unit (years, degrees), not standard deviations."
        ),
    ] = False,
    truncation_psi: Annotated[
        float | None,
        typer.Option(
            help="Truncation of the seed: 1 for all faces, less for more usual ones, 0 for the mean. Default: 0.7, or "
            "1 with --nvidia-seed, as in generate.py."
        ),
    ] = None,
    axes: Annotated[
        str | None, typer.Option(help="Folder of `jaxedit learn`. Default: the generator's own axes.")
    ] = None,
    force: ForceOption = False,
    preset: PresetOption = None,
    num_steps: NumStepsOption = None,
    no_delta: Annotated[
        bool, typer.Option("--no-delta", help="With --latent: ignore the tuning beside it.")
    ] = False,
    generator: GeneratorOption = DEFAULT_GENERATOR,
) -> None:
    """Edit one face and write the image.

    An amount moves the face along an axis, in standard deviations of the attribute over all faces: +1 is a clear
    change, +3 a strong one. `jaxedit info mobile-stylegan-ffhq` lists the attributes.
    The cache keeps the projection of a photograph, so further edits of it are fast.

    \b
    Examples:
      jaxedit edit --seed 7 age=+1.5 smile=+1 --out edited.png
      jaxedit edit --seed 7 age=+1.5 --compare                   before and after, side by side
      jaxedit edit --seed 7 age=60 --absolute --raw              to sixty years
      jaxedit edit --seed 7 yaw=-10 --raw                        ten degrees to the left
      jaxedit edit --photo portrait.jpg smile=+1 --out smile.png
      jaxedit edit --latent projected/portrait glasses=+2        a result of `jaxedit project`
      jaxedit edit --latent latents.pt --index 3 glasses=+2      the fourth latent of encoder4editing
      jaxedit edit -g ffhq --axes axes --nvidia-seed 85 smile=+1
    """
    amounts = parse_edits(edits)
    sources = {"--seed": seed, "--nvidia-seed": nvidia_seed, "--latent": latent, "--photo": photo}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        known = ", ".join(list(sources)[:-1])
        raise InputError(f"expected one of {known} and --photo, got {' and '.join(given) or 'none'}")
    _check_options(
        given[0],
        {
            "--truncation-psi": (truncation_psi is not None, ("--seed", "--nvidia-seed")),
            "--index": (index is not None, ("--latent",)),
            "--no-delta": (no_delta, ("--latent",)),
            "--preset": (preset is not None, ("--photo",)),
            "--face": (face is not None, ("--photo",)),
            "--num-steps": (num_steps is not None, ("--photo",)),
        },
    )
    chosen_face = parse_face(face)
    if out.suffix.lower() not in _IMAGE_ENDINGS:
        raise InputError(f"--out: expected a name that ends in .png, .jpg or .webp, got {out}")

    # Imports are much of the time of an edit, so those of photographs stand where they are needed.
    from jaxedit.axes.edit_readings import edit_with_readings
    from jaxedit.axes.editing import Edit
    from jaxedit.generators.render import render
    from jaxedit.images import save_image
    from jaxedit.latents.latent_files import load_latent_file
    from jaxedit.latents.seed_stream import check_truncation_psi, w_of_seed
    from jaxedit.pretrained.registry import load_axes, load_generator

    psi = (1.0 if seed is None else 0.7) if truncation_psi is None else truncation_psi
    check_truncation_psi(psi)
    saved = None if latent is None else load_latent_file(latent, index)
    if saved is not None and saved.generator is not None and generator == DEFAULT_GENERATOR:
        generator = saved.generator  # that the latent names
    model: Any = load_generator(generator)
    check_class(model, generator)
    chosen = load_axes(axes_name(axes, generator), model, check=not force)
    units: Literal["raw", "std"] = "raw" if raw else "std"
    Edit.of(amounts, chosen.attribute_names, units=units)  # an unknown name is found before a projection
    crop = noise = pivot = None
    if (number := nvidia_seed if seed is None else seed) is not None:
        w = w_of_seed(model, number, truncation_psi=psi, nvidia=seed is None)
    else:
        if photo is not None:
            saved, crop = _projected(photo, chosen_face, model, generator, preset, num_steps)
        assert saved is not None
        w, noise = saved.of(model), saved.noise_of(model)
        pivot = w if w.ndim == 3 else None
        if not no_delta and saved.delta is not None:
            model, noise = _tuned(model, saved), None  # it was tuned with the generator's own noise images
    result = edit_with_readings(chosen, w, amounts, absolute=absolute, units=units, pivot=pivot)
    # One image after the other: the same compiled program renders both. The empty edit brings the original to W+.
    latents = [chosen.edit(w, {}), result.w] if compare else [result.w]
    images = [render(model, one, noise) for one in latents]
    save_image(_in_a_row([crop, *images] if compare and crop is not None else images), out)
    before, after = result.before.tolist()[0], result.after.tolist()[0]
    for name in amounts:
        i = chosen.attribute_names.index(name)
        print(f"{name}: {before[i]:.3g} → {after[i]:.3g} {chosen.attribute_units[i]}".replace("-", "−"))
    print(out)


def _check_options(source: str, options: dict[str, tuple[bool, tuple[str, ...]]]) -> None:
    """Raise `InputError` if an option is given that means nothing for this source of the latent.

    Args:
        source: the option that gives the latent.
        options: whether each option is given, and the sources that it goes with.
    """
    for name, (is_given, goes_with) in options.items():
        if is_given and source not in goes_with:
            raise InputError(f"{name}: expected with {' or '.join(goes_with)} only, got it with {source}")


def _projected(
    photo: Path,
    face: int | tuple[float, float] | None,
    model: "Generator",
    generator: str,
    preset: Preset | None,
    num_steps: int | None,
) -> "tuple[SavedLatent, np.ndarray]":
    """The latent and the crop of a photograph's largest or chosen face."""
    from jaxedit.inversion.cached_projection import project_cached
    from jaxedit.inversion.presets import preset as preset_of
    from jaxedit.latents.latent_files import load_latent_file

    config = preset_of(preset, num_steps=num_steps)
    folder = project_cached(photo, model, generator_name=generator, config=config, face=face)
    return load_latent_file(folder.path), folder.crop()


def _tuned(model: Any, saved: "SavedLatent") -> Any:
    """The generator with the tuning that lies beside a latent."""
    from jaxedit.inversion.projection_folder import load_delta

    delta = load_delta(saved)
    return model if delta is None else delta.apply(model)


def _in_a_row(images: "list[np.ndarray]") -> "np.ndarray":
    if len(images) == 1:
        return images[0]
    from jaxedit.inversion.projection_folder import side_by_side

    return side_by_side(*images)
