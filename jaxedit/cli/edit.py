"""The command that edits one face: edit."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jaxedit.cli.edit_directions import (
    DirectionsOption,
    LayersOption,
    SortedEdits,
    StyleDirectionsOption,
    sort_edits,
)
from jaxedit.cli.edit_many import check_many, edit_many
from jaxedit.cli.edited_images import (
    Cut,
    chosen_where,
    draw_edit,
    in_a_row,
    paste_and_write,
    photograph_to_edit,
)
from jaxedit.cli.edited_values import amounts_seen, beyond_range, readings
from jaxedit.cli.options import (
    DEFAULT_GENERATOR,
    FaceOption,
    ForceOption,
    GeneratorOption,
    NumStepsOption,
    PresetOption,
    ThoroughOption,
    Where,
    WhereOption,
)
from jaxedit.cli.parsing import axes_name, check_class, parse_edits, parse_face, parse_layers
from jaxedit.cli.settings import SettingsOption, with_settings
from jaxedit.errors import InputError

if TYPE_CHECKING:
    from jaxedit.attributes.person.places import Place
    from jaxedit.generators.protocol import Generator
    from jaxedit.inversion.photograph import Photograph
    from jaxedit.inversion.project_photos import PhotoProjectionConfig
    from jaxedit.latents.latent_files import SavedLatent

_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def edit(
    edits: Annotated[
        list[str] | None, typer.Argument(metavar="ATTRIBUTE=AMOUNT...", help="Edits, such as age=+1.5")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", "-s", help="Seed of the face to edit.")] = None,
    settings: SettingsOption = None,
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
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            "--photo",
            help="Photograph of the face, instead of a seed. Its largest face is aligned and projected, which takes "
            "minutes, and pasted back after the edit. A folder, or the option several times: many photographs in one "
            "run.",
        ),
    ] = None,
    all_faces: Annotated[
        bool, typer.Option("--all-faces", help="Every face of each photograph, as a run of many.")
    ] = False,
    batch_size: Annotated[
        int | None, typer.Option(help="With many photographs: faces in a batch. 1 suits a CPU.")
    ] = None,
    face: FaceOption = None,
    thorough: ThoroughOption = False,
    crop: Annotated[
        bool,
        typer.Option(
            "--crop", help="With --photo: write the edited crop of the face alone, not the whole photograph."
        ),
    ] = False,
    keep_position: Annotated[
        bool, typer.Option("--keep-position", help="With --photo: keep the GPS position in the metadata.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File of the image: .png, .jpg or .webp, or the photograph's own format. With many photographs, the "
            "folder of the results. Default: edited.png, or edited.",
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Before and after, side by side. With --crop, the crop of the photograph comes first.",
        ),
    ] = False,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Amounts are values to reach, not moves.")
    ] = False,
    look: Annotated[
        bool,
        typer.Option(
            help="With --absolute, of one face and the generator's own axes: read the image, and correct the amount."
        ),
    ] = True,
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
    directions: DirectionsOption = None,
    style_directions: StyleDirectionsOption = None,
    layers: LayersOption = None,
    where: WhereOption = None,
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
      jaxedit edit --seed 7 age=60 --absolute --raw              to sixty years, as the image shows them
      jaxedit edit --seed 7 yaw=-10 --raw                        ten degrees to the left
      jaxedit edit --seed 7 age=+2 --where everywhere             as the generator draws it, background and all
      jaxedit edit --photo portrait.jpg smile=+1 --out smile.jpg  the whole photograph
      jaxedit edit --photo holidays smile=+1 --out smiles        a folder of photographs, with a table and a page
      jaxedit edit --latent projected/portrait eyeglasses=+2     a result of `jaxedit project`
      jaxedit edit --latent latents.pt --index 3 eyeglasses=+2   the fourth latent of encoder4editing
      jaxedit edit -g ffhq --axes axes --nvidia-seed 85 smile=+1
      jaxedit edit -g ffhq --seed 7 --directions ganspace.npz component_3=+2 --layers 4-8
      jaxedit edit -g ffhq --seed 7 b64.conv0:112=+10            a channel of StyleSpace
    """
    about = {"seed": seed, "truncation_psi": truncation_psi, "preset": preset}
    named = {**about, "axes": axes, "generator": generator}
    amounts, taken = with_settings(
        settings, parse_edits(edits or []), named, (nvidia_seed, latent, photos), in_std=not (absolute or raw)
    )
    seed, truncation_psi, preset, axes, generator = taken.values()
    photo = photos[0] if photos else None
    is_many = photos is not None and (len(photos) > 1 or all_faces or photos[0].is_dir())
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
            "--thorough": (thorough, ("--photo",)),
            "--crop": (crop, ("--photo",)),
            "--keep-position": (keep_position, ("--photo",)),
            "--num-steps": (num_steps is not None, ("--photo",)),
            "--all-faces": (all_faces, ("--photo",)),
            "--batch-size": (batch_size is not None, ("--photo",)),
        },
    )
    if is_many:
        check_many(
            {
                "--face": face is not None,
                "--compare": compare,
                "--where=person": where is Where.PERSON,
                "--directions": bool(directions),
                "--style-directions": style_directions is not None,
            }
        )
    elif batch_size is not None:
        raise InputError("--batch-size: expected with many photographs, got it with one")
    out = out or Path("edited" if is_many else "edited.png")
    chosen_face, chosen_layers = parse_face(face), parse_layers(layers)
    is_whole = photo is not None and not crop and not is_many
    is_drawn = not is_many and (
        compare or not is_whole
    )  # not by `Photograph.write`, which knows more formats
    if is_drawn and out.suffix.lower() not in _IMAGE_ENDINGS:
        raise InputError(f"--out: expected a name that ends in .png, .jpg or .webp, got {out}")

    # Imports are much of the time of an edit, so those of photographs stand where they are needed.
    from jaxedit.axes.edit_readings import edit_with_readings
    from jaxedit.axes.editing import Edit, layer_mask
    from jaxedit.axes.in_places import stages_of
    from jaxedit.axes.published_directions import move_along
    from jaxedit.generators.protocol import broadcast_w
    from jaxedit.generators.render import render
    from jaxedit.images import save_image
    from jaxedit.latents.latent_files import load_latent_file
    from jaxedit.latents.seed_stream import check_truncation_psi, w_of_seed
    from jaxedit.pretrained.known_generators import KNOWN_GENERATORS
    from jaxedit.pretrained.registry import load_axes, load_generator

    psi = (1.0 if seed is None else 0.7) if truncation_psi is None else truncation_psi
    check_truncation_psi(psi)
    saved = None if latent is None else load_latent_file(latent, index)
    if saved is not None and saved.generator is not None and generator == DEFAULT_GENERATOR:
        generator = saved.generator  # that the latent names
    model: Any = load_generator(generator)
    check_class(model, generator)
    found = sort_edits(model, amounts, directions, style_directions)
    units: Literal["raw", "std"] = "raw" if raw else "std"
    _check_directions(found, chosen_layers is not None, absolute=absolute, raw=raw)
    shown_where = chosen_where(where, found, model)
    if chosen_layers is not None:
        layer_mask(chosen_layers, model.num_ws)
    chosen = None
    if found.along_axes and found.known and axes is None and generator not in KNOWN_GENERATORS:
        found.check_names((), is_given=False)
    if found.along_axes or axes is not None:
        chosen = load_axes(axes_name(axes, generator), model, check=not force)
        found.check_names(chosen.attribute_names, is_given=axes is not None)
        Edit.of(found.along_axes, chosen.attribute_names, units=units)  # an unknown name, before a projection
    if is_many:
        from jaxedit.photographs.edit_photos import PhotoEdits

        if chosen is None or found.in_styles:
            raise InputError("edits: expected attributes of axes, with many photographs")
        wanted = PhotoEdits(
            found.along_axes,
            absolute=absolute,
            units=units,
            layers=chosen_layers,
            in_places=shown_where is Where.PLACE,
            pastes=not crop,
            keep_position=keep_position,
        )
        how = {"preset": preset, "num_steps": num_steps, "batch_size": batch_size or 1}
        edit_many(photos or [], out, (model, generator, chosen), wanted, how, all_faces, thorough)
        return
    noise = pivot = cut = photograph = None
    if (number := nvidia_seed if seed is None else seed) is not None:
        w = w_of_seed(model, number, truncation_psi=psi, nvidia=seed is None)
    else:
        if photo is not None:
            from jaxedit.cli.projection_settings import projection_of
            from jaxedit.inversion.presets import tuning_of
            from jaxedit.inversion.project_photos import PhotoProjectionConfig

            projection, encoder = projection_of(preset, num_steps, generator=model, generator_name=generator)
            photograph = photograph_to_edit(photo, out, is_checked=is_whole and not compare)
            config = PhotoProjectionConfig(
                projection, tuning_of(preset), face=chosen_face, thorough=thorough, encoder=encoder
            )
            saved, cut = _projected(photograph, model, generator, config)
        assert saved is not None
        w, noise = saved.of(model), saved.noise_of(model)
        pivot = w if w.ndim == 3 else None
        if not no_delta and saved.delta is not None:
            model, noise = _tuned(model, saved), None  # it was tuned with the generator's own noise images
    if chosen_layers is not None:
        w = broadcast_w(w, model.num_ws)
    edited, before, lines = w, w, []
    if chosen is not None and found.along_axes:
        options: dict[str, Any] = {"layers": chosen_layers, "pivot": pivot}
        along, is_to_value = found.along_axes, absolute
        if absolute and look and axes is None and generator in KNOWN_GENERATORS:
            along, seen = amounts_seen(
                model, chosen, w, (along, units), shown_where, options | {"noise": noise}
            )
            lines, units, is_to_value = [seen], "std", False
        options |= {"absolute": is_to_value, "units": units}
        result = edit_with_readings(chosen, w, along, **options)
        edited, before = result.w, chosen.edit(w, {})  # the empty edit brings the original to W+
        lines = lines or readings(chosen, along, result)
        if units == "std" and not is_to_value:
            notes = [beyond_range(chosen, name, amount) for name, amount in along.items()]
            print("".join(f"jaxedit: note: {note}\n" for note in notes if note), end="", file=sys.stderr)
    edited = move_along(
        edited, found.directions, found.along_directions, num_ws=model.num_ws, layers=chosen_layers
    )
    if edited.ndim == 3:
        before = broadcast_w(before, model.num_ws)
    if shown_where is Where.EVERYWHERE:
        # One image after the other: the same compiled program renders both, unless styles move.
        images = [render(model, before, noise)] if compare or is_whole else []
        images.append(render(model, edited, noise, style_moves=found.style_moves))
    else:
        where_of: tuple[Place | None, ...]
        stages, where_of = [before, edited], ("person",)
        if shown_where is Where.PLACE and chosen is not None:
            stages, where_of = stages_of(chosen, w, along, **options)
        images = draw_edit(model, stages, where_of, noise)
    if photograph is not None and cut is not None and is_whole:
        lines.append(
            paste_and_write(photograph, cut.quad, images, out, compare=compare, keep_position=keep_position)
        )
        print("\n".join([*lines, *found.describe(), str(out)]))
        return
    if not compare:
        del images[:-1]
    save_image(in_a_row([cut.image, *images] if compare and cut is not None else images), out)
    print("\n".join([*lines, *found.describe(), str(out)]))


def _check_directions(found: SortedEdits, has_layers: bool, *, absolute: bool, raw: bool) -> None:
    """Raise `InputError` if an option is given that has no meaning for directions."""
    others = [*found.along_directions, *found.in_styles]
    for option, is_given in (("--absolute", absolute), ("--raw", raw)):
        if is_given and others:
            raise InputError(
                f"{option}: expected with attributes of axes, got it with the direction {others[0]!r}"
            )
    if has_layers and found.in_styles:
        raise InputError(
            f"--layers: expected with edits of W+, got it with {next(iter(found.in_styles))!r} of StyleSpace, which "
            "names its layers"
        )


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
    photo: "Photograph",
    model: "Generator",
    generator: str,
    config: "PhotoProjectionConfig",
) -> "tuple[SavedLatent, Cut]":
    """The latent and the crop of a photograph's largest or chosen face."""
    from jaxedit.inversion.cached_projection import project_cached
    from jaxedit.latents.latent_files import load_latent_file

    folder = project_cached(photo.file, model, generator_name=generator, config=config)
    return load_latent_file(folder.path), Cut(folder.crop(), folder.place().quad)


def _tuned(model: Any, saved: "SavedLatent") -> Any:
    """The generator with the tuning that lies beside a latent."""
    from jaxedit.inversion.projection_folder import load_delta

    delta = load_delta(saved)
    return model if delta is None else delta.apply(model)
