"""The command that edits one face: edit."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jaxedit.cli.options import DEFAULT_GENERATOR, GeneratorOption, NumStepsOption, PresetOption
from jaxedit.cli.parsing import parse_edits
from jaxedit.errors import InputError

_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def edit(
    edits: Annotated[
        list[str], typer.Argument(metavar="ATTRIBUTE=AMOUNT...", help="Edits, such as age=+1.5")
    ],
    seed: Annotated[int | None, typer.Option("--seed", "-s", help="Seed of the face to edit.")] = None,
    latent: Annotated[
        Path | None,
        typer.Option(
            "--latent",
            "--w",
            help="Latent of the face, instead of a seed: a folder of `jaxedit project`, its latent.npz, or a .npy of "
            "W [512] or W+ [16, 512].",
        ),
    ] = None,
    photo: Annotated[
        Path | None,
        typer.Option(
            help="Photograph of the face, instead of a seed. Its largest face is aligned and projected, which takes "
            "minutes."
        ),
    ] = None,
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
        float,
        typer.Option(help="Truncation of --seed: 1 for all faces, less for more usual ones, 0 for the mean."),
    ] = 0.7,
    axes: Annotated[
        str | None, typer.Option(help="Folder of `jaxedit learn`. Default: the generator's own axes.")
    ] = None,
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
      jaxedit edit --latent latent.npy glasses=+2
    """
    import jax.numpy as jnp

    from jaxedit.axes.editing import Edit
    from jaxedit.images import save_image
    from jaxedit.inversion.projection_folder import load_delta, rendered, side_by_side
    from jaxedit.latents.latent_files import load_latent_file
    from jaxedit.latents.seed_stream import sample_z
    from jaxedit.pretrained.registry import load_axes, load_generator

    amounts = parse_edits(edits)
    sources = {"--seed": seed, "--latent": latent, "--photo": photo}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        raise InputError(f"expected one of --seed, --latent and --photo, got {' and '.join(given) or 'none'}")
    if out.suffix.lower() not in _IMAGE_ENDINGS:
        raise InputError(f"--out: expected a name that ends in .png, .jpg or .webp, got {out}")
    saved = None if latent is None else load_latent_file(latent)
    if saved is not None and saved.generator is not None and generator == DEFAULT_GENERATOR:
        generator = saved.generator  # that the latent names
    model: Any = load_generator(generator)
    chosen = load_axes(generator if axes is None else axes)
    Edit.of(amounts, chosen.attribute_names)  # a name that is unknown is found before a projection
    crop = noise = pivot = None
    if seed is not None:
        w = model.mapping(jnp.asarray(sample_z(seed, 1, model.z_dim)), truncation_psi=truncation_psi)
    else:
        if photo is not None:
            from jaxedit.inversion.cached_projection import project_cached
            from jaxedit.inversion.presets import preset as preset_of

            config = preset_of(preset, num_steps=num_steps)
            folder = project_cached(photo, model, generator_name=generator, config=config)
            saved, crop = load_latent_file(folder.path), folder.crop()
        assert saved is not None
        w, noise = saved.of(model), saved.noise_of(model)
        pivot = w if w.ndim == 3 else None
        delta = None if no_delta else load_delta(saved)
        if delta is not None:
            model, noise = delta.apply(model), None  # it was tuned with the generator's own noise images
    edited = chosen.edit(w, amounts, absolute=absolute, units="raw" if raw else "std", pivot=pivot)
    # One image after the other: the program for one serves both. The edit by nothing brings the original to W+.
    images = [rendered(model, one, noise) for one in ([chosen.edit(w, {})] if compare else []) + [edited]]
    if compare and crop is not None:
        images.insert(0, crop)
    save_image(side_by_side(*images), out)
    # An edit of W leads to W+ by the axes' own curves, and is read as such.
    before, after = chosen.read(w, pivot=pivot)[0], chosen.read(edited, pivot=pivot)[0]
    for name in amounts:
        i = chosen.attribute_names.index(name)
        print(f"{name}: {before[i]:.3g} → {after[i]:.3g} {chosen.attribute_units[i]}".replace("-", "−"))
    print(out)
