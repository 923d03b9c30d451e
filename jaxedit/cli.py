"""The command line: parses, calls the library, prints.

Exit codes: 0 done, 1 it failed on the way (a download, a file that cannot be written), 2 wrong input, 130 interrupted.
JAX is imported inside the commands, so that help comes at once.
"""

import enum
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jaxedit._version import __version__
from jaxedit.errors import CheckpointError, InputError, JaxeditError, conversion_errors
from jaxedit.storage.compilation_cache import keep_compiled_programs

if TYPE_CHECKING:
    import jax
    import numpy as np

    from jaxedit.generators.protocol import Generator
    from jaxedit.labels.dataset import LabelledLatents
    from jaxedit.latents.latent_files import SavedLatent

DEFAULT_GENERATOR = "mobile-stylegan-ffhq"

app = typer.Typer(
    name="jaxedit",
    help="""Edit faces of a pretrained StyleGAN along labelled axes: age, smile, glasses, …

    \b
    Start here:
      jaxedit demo                                      the whole way, as a page of images: demo/index.html
      jaxedit edit --seed 7 age=+1.5 smile=+1           one edited face: edited.png
      jaxedit COMMAND --help                            options and examples of a command
    """,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

GeneratorOption = Annotated[
    str, typer.Option("--generator", "-g", help="A known generator, or the folder of a converted checkpoint.")
]
SeedOption = Annotated[
    int, typer.Option("--seed", "-s", help="0 … 4294967295. The same seed, the same result.")
]
DevicesOption = Annotated[
    int | None,
    typer.Option(
        help="Over how many devices each batch is divided. Without it, over as many of those that are there as "
        "divide it evenly."
    ),
]


class Preset(enum.StrEnum):
    """Settings of a projection."""

    FAST = "fast"
    QUALITY = "quality"
    OFFICIAL = "official"


PresetOption = Annotated[
    Preset | None,
    typer.Option(
        help="fast: three minutes a face on two CPU cores; quality: for an accelerator; official: as published, for "
        "a StyleGAN2. Without it, fast on a CPU and quality elsewhere."
    ),
]
NumStepsOption = Annotated[
    int | None, typer.Option(help="Steps of a projection instead of the preset's; fewer are quicker.")
]


class WeightsFormat(enum.StrEnum):
    """What `jaxedit convert` writes."""

    CHECKPOINT = "checkpoint"
    SAFETENSORS = "safetensors"


def main() -> None:
    """The entry point: runs the command, turns what users can cause into one line and an exit code."""
    keep_compiled_programs()
    try:
        code = app(standalone_mode=False)
    except JaxeditError as error:
        print(f"jaxedit: error: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2 if isinstance(error, InputError | CheckpointError) else 1
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except Exception as error:
        # Typer's errors of usage; their module has moved between its versions.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        code = getattr(error, "exit_code", 2)
    if code == 130:  # some versions of Typer return it themselves
        print("jaxedit: interrupted", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def _print_version(value: bool) -> bool:
    if value:
        print(f"jaxedit {__version__}")
        raise typer.Exit
    return value


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="mobile-stylegan-ffhq, face-api or lpips.")] = DEFAULT_GENERATOR,
) -> None:
    """Download and convert pretrained weights into the cache.

    The other commands do this by themselves when they need them; this one prepares for work without a network.

    \b
    Examples:
      jaxedit fetch                    the face generator, 38 MB
      jaxedit fetch face-api           the face networks that `jaxedit label` and `align` need, 13 MB, through npm
      jaxedit fetch lpips              the perceptual distance, 64 MB
    """
    from jaxedit.attributes.faces.pretrained import load_face_networks
    from jaxedit.inversion.lpips import NETWORKS
    from jaxedit.inversion.lpips_pretrained import load_lpips
    from jaxedit.pretrained.registry import KNOWN_GENERATORS, load_generator
    from jaxedit.storage.download import cache_dir

    if name == "face-api":
        load_face_networks()
    elif name == "lpips":
        for network in NETWORKS:
            load_lpips(network)
    elif name in KNOWN_GENERATORS:
        load_generator(name)
    else:
        known = ", ".join([*KNOWN_GENERATORS, "face-api", "lpips"])
        raise InputError(f"name: expected one of {known}, got '{name}'")
    print(f"{name} is in {cache_dir()}")


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="The foreign weights; the format is told by the content.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the converted generator.")],
    format_: Annotated[
        WeightsFormat, typer.Option("--format", help="A checkpoint of this library, or safetensors.")
    ] = WeightsFormat.CHECKPOINT,
) -> None:
    """Convert a StyleGAN2 generator of another library, for `--generator`.

    Pickles of StyleGAN2-ADA and StyleGAN3 for PyTorch (their StyleGAN2 models) and of StyleGAN2 and StyleGAN2-ADA
    for TensorFlow, checkpoints of stylegan2-pytorch (.pt), files of flaxmodels (.h5), and safetensors folders of
    `jaxedit export` are read, without these libraries, and without running anything that the file brings.

    \b
    Examples:
      jaxedit convert stylegan2-ffhq.pkl --out ffhq                          a folder for the other commands
      jaxedit convert stylegan2-ffhq.pkl --out open --format safetensors     a folder for other libraries
      jaxedit info ffhq                                                      what it holds
    """
    from jaxedit.pretrained.registry import KIND
    from jaxedit.storage.checkpoints import save_checkpoint
    from weights_conversion.detect import convert_file, describe_format

    with conversion_errors():
        found = describe_format(file)
        config, arrays = convert_file(file)
    if format_ is WeightsFormat.CHECKPOINT:
        save_checkpoint(out, kind=KIND, config=config, arrays=arrays)
    else:
        _write_safetensors(out, config, arrays)
    print(f"{file}: {found}")
    print(_summary(config, arrays))
    print(out)


@app.command()
def export(
    generator: Annotated[
        str, typer.Argument(help="A known generator, or the folder of a converted checkpoint.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the export.")],
) -> None:
    """Write a generator as open files: config.json and model.safetensors.

    `jaxedit convert` reads them again.

    \b
    Examples:
      jaxedit export mobile-stylegan-ffhq --out open      the default generator
      jaxedit export ffhq --out open                      a converted one
      jaxedit convert open --out again                    back to a checkpoint
    """
    from jaxedit.nn.parameters import module_params
    from jaxedit.pretrained.registry import load_generator

    model = load_generator(generator)
    config, arrays = model.describe(), module_params(model)
    _write_safetensors(out, config, arrays)
    print(_summary(config, arrays))
    print(out)


@app.command()
def label(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the labels, new or to go on with.")],
    num_samples: Annotated[int, typer.Option("--num-samples", "-n", help="How many faces.")] = 8192,
    seed: SeedOption = 0,
    generator: GeneratorOption = DEFAULT_GENERATOR,
    classifier: Annotated[
        str | None,
        typer.Option(
            help="FILE.py:NAME, your own for other things than faces. Without it, the face networks."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Faces at once: 8 suits a CPU, 32 an accelerator.")] = 8,
    shard_size: Annotated[int, typer.Option(help="Faces a file, a multiple of the batch size.")] = 256,
    devices: DevicesOption = None,
    distributed: Annotated[
        bool,
        typer.Option(
            "--distributed",
            help="This is one of several processes, on one host or many, that share the work; all are started with "
            "the same options.",
        ),
    ] = False,
) -> None:
    """Make images and measure their attributes, for `learn`.

    A run that was stopped goes on where it was when it is started again with the same options, on however many devices.
    With --distributed the processes find each other by JAX_COORDINATOR_ADDRESS (host:port of the first),
    JAX_NUM_PROCESSES and JAX_PROCESS_ID, or by themselves on a TPU slice and under Slurm.

    \b
    Examples:
      jaxedit label --out labels                                 8192 faces, about 15 minutes on two CPU cores
      jaxedit label --out labels -n 50000 --batch-size 64        more of them on an accelerator
      jaxedit label -g cats --classifier cats.py:Fur -o fur      a converted generator, measured by your own code
      jaxedit label --out labels --batch-size 256 --distributed  on each host of a TPU slice
    """
    from jaxedit import parallel
    from jaxedit.attributes.faces.face_attributes import FaceAttributes
    from jaxedit.attributes.user_classifier import load_classifier
    from jaxedit.labels import labeling
    from jaxedit.pretrained.registry import load_generator

    if distributed:
        parallel.initialize()
    mesh = parallel.fitting_mesh(batch_size, devices)
    labels = labeling.label(
        load_generator(generator),
        FaceAttributes() if classifier is None else load_classifier(classifier),
        out,
        num_samples=num_samples,
        seed=seed,
        batch_size=batch_size,
        shard_size=shard_size,
        generator_name=generator,
        mesh=mesh if mesh.size > 1 else None,
    )
    print(
        f"{len(labels.values)} images × {len(labels.attribute_names)} attributes: {out / labeling.LABELS_FILE}"
    )


@app.command()
def learn(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the axes.")] = Path("axes"),
    labels: Annotated[
        Path | None, typer.Option(help="Folder of `jaxedit label`. Without it, the labels that come along.")
    ] = None,
    generator: GeneratorOption = DEFAULT_GENERATOR,
    attributes: Annotated[
        str | None, typer.Option(help="Attributes to learn, separated by commas. Without it, all.")
    ] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="The published recipe (slow) as the settings.")
    ] = False,
    num_components: Annotated[
        int | None, typer.Option(help="How many principal components go through the axes.")
    ] = None,
    num_steps: Annotated[int | None, typer.Option(help="Steps of the training.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam.")] = None,
    attribute_weight: Annotated[float | None, typer.Option(help="Weight of the attribute loss.")] = None,
    decorrelation_weight: Annotated[
        float | None, typer.Option(help="Weight of the decorrelation loss.")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Learn attribute axes, and measure them on held-out faces.

    A run that was stopped goes on where it was when it is started again with the same options; until it is done it
    keeps its state in the folder OUT.training.

    \b
    Examples:
      jaxedit learn --out axes                                   from the labels that come along
      jaxedit learn --labels labels --out axes --num-steps 5000
      jaxedit learn --attributes age,smile,glasses --out three
      jaxedit edit --axes axes --seed 7 age=+1.5                 edit with the result
    """
    import dataclasses

    from jaxedit.axes.config import AxesConfig
    from jaxedit.axes.learning.learn import learn_axes
    from jaxedit.latents.pca import fit_pca
    from jaxedit.pretrained.inspection import describe_axes

    changes: dict[str, Any] = {
        "learning_rate": learning_rate,
        "attribute_weight": attribute_weight,
        "decorrelation_weight": decorrelation_weight,
        "seed": seed,
    }
    config = AxesConfig.paper() if paper else AxesConfig()
    config = dataclasses.replace(config, **{k: v for k, v in changes.items() if v is not None})
    if num_steps is not None:
        config = dataclasses.replace(config, num_steps=num_steps, num_epochs=None)
    dataset = _labelled_latents(generator, labels, attributes)
    if num_components is None:
        pca = fit_pca(dataset.w, 60) if paper else fit_pca(dataset.w)
    else:
        pca = fit_pca(dataset.w, num_components)
    # Beside the result, so that a run that was stopped goes on when it is started again.
    unfinished = out.with_name(f"{out.name}.training")
    axes = learn_axes(dataset, pca, config, checkpoint_dir=unfinished)
    axes.save(out)
    shutil.rmtree(unfinished, ignore_errors=True)
    print(describe_axes(axes))
    print(f"axes: {out}")


@app.command()
def edit(
    edits: Annotated[list[str], typer.Argument(metavar="ATTRIBUTE=AMOUNT...", help="Such as age=+1.5")],
    seed: Annotated[int | None, typer.Option("--seed", "-s", help="Number of the face to edit.")] = None,
    latent: Annotated[
        Path | None,
        typer.Option(
            "--latent",
            "--w",
            help="The face's latent instead: a folder of `jaxedit project`, its latent.npz, or a .npy of W [512] or "
            "W+ [16, 512].",
        ),
    ] = None,
    photo: Annotated[
        Path | None,
        typer.Option(
            help="A photograph instead: its largest face is aligned and projected, which takes minutes."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The image: .png or .jpg.")] = Path("edited.png"),
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Before and after side by side; with --photo, the photograph's crop before them.",
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
        float, typer.Option(help="With --seed: 1 shows all faces, less the more usual ones, 0 the mean.")
    ] = 0.7,
    axes: Annotated[
        str | None, typer.Option(help="Folder of `jaxedit learn`. Without it, the generator's own axes.")
    ] = None,
    preset: PresetOption = None,
    num_steps: NumStepsOption = None,
    no_delta: Annotated[
        bool, typer.Option("--no-delta", help="With --latent: leave the tuning beside it out of account.")
    ] = False,
    generator: GeneratorOption = DEFAULT_GENERATOR,
) -> None:
    """Edit one face and write the image.

    An amount moves the face along an axis, in standard deviations of the attribute over all faces: +1 is distinct,
    +3 strong. `jaxedit info mobile-stylegan-ffhq` lists the attributes.
    The projection of a photograph is kept in the cache: another edit of it is quick.

    \b
    Examples:
      jaxedit edit --seed 7 age=+1.5 smile=+1 --out edited.png
      jaxedit edit --seed 7 age=+1.5 --compare                   before and after side by side
      jaxedit edit --seed 7 age=60 --absolute --raw              to sixty years
      jaxedit edit --seed 7 yaw=-10 --raw                        ten degrees to the left
      jaxedit edit --photo portrait.jpg smile=+1 --out smile.png
      jaxedit edit --latent projected/portrait glasses=+2        what `jaxedit project` found
      jaxedit edit --latent latent.npy glasses=+2
    """
    from jaxedit.axes.editing import dense_amounts
    from jaxedit.images import save_image
    from jaxedit.inversion.projection_folder import load_delta, rendered, side_by_side
    from jaxedit.latents.latent_files import load_latent_file
    from jaxedit.pretrained.registry import load_axes, load_generator

    amounts = parse_edits(edits)
    sources = {"--seed": seed, "--latent": latent, "--photo": photo}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        raise InputError(f"expected one of --seed, --latent and --photo, got {' and '.join(given) or 'none'}")
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise InputError(f"--out: expected a name that ends in .png, .jpg or .webp, got {out}")
    saved = None if latent is None else load_latent_file(latent)
    if saved is not None and saved.generator is not None and generator == DEFAULT_GENERATOR:
        generator = saved.generator  # that the latent names
    model: Any = load_generator(generator)
    chosen = load_axes(generator if axes is None else axes)
    dense_amounts(amounts, chosen.attribute_names, 1)  # a name that is unknown is found before a projection
    crop = noise = pivot = None
    if seed is not None:
        w = _seed_latent(model, seed, truncation_psi)
    else:
        if photo is not None:
            saved, crop = _projected(photo, model, generator, preset, num_steps)
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
    # An edit of W leads to W+ by the axes' own steps, and is read as such.
    before, after = chosen.read(w, pivot=pivot)[0], chosen.read(edited, pivot=pivot)[0]
    for name in amounts:
        i = chosen.attribute_names.index(name)
        print(f"{name}: {before[i]:.3g} → {after[i]:.3g} {chosen.attribute_units[i]}".replace("-", "−"))
    print(out)


@app.command()
def align(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Images, or folders of such.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the crops.")],
    all_: Annotated[
        bool, typer.Option("--all/--largest", help="All faces of a photo, or the largest alone.")
    ] = True,
    size: Annotated[int, typer.Option(help="Pixels a side of the crops.")] = 1024,
) -> None:
    """Cut the faces out of photographs, upright and framed as the generator's training images are.

    NAME.png is the largest face of NAME.jpg, NAME_2.png the next; NAME.json says where in the photo they are. A run
    that was stopped goes on where it was when it is started again.

    \b
    Examples:
      jaxedit align party.jpg --out faces                 every face of one photo
      jaxedit align holidays --out faces --largest        one face of each photo in a folder
    """
    from jaxedit.inversion.align_folder import align_photos, find_photos

    found = find_photos(photos)
    summary = align_photos(found, out, size=size, largest_only=not all_)
    if len(found) == 1 and summary.failures:
        raise InputError(summary.failures[found[0]])
    print("\n".join(map(str, summary.crops)))
    if summary.failures:
        for message in summary.failures.values():
            print(" ".join(message.split()), file=sys.stderr)
        raise InputError(f"{len(summary.failures)} of {len(found)} photos gave no crop (see above)")


@app.command()
def project(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Images, or folders of such.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results, new or to go on with.")],
    preset: PresetOption = None,
    num_steps: NumStepsOption = None,
    batch_size: Annotated[int, typer.Option(help="Faces at once: 1 suits a CPU, 8 an accelerator.")] = 1,
    devices: DevicesOption = None,
    all_faces: Annotated[
        bool, typer.Option("--all-faces", help="Every face of each photograph, not only the largest.")
    ] = False,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The photographs are crops of `jaxedit align` already.")
    ] = False,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune", help="Then tune the generator's weights to each face: nearer to it, but slow."
        ),
    ] = False,
    seed: SeedOption = 0,
    generator: GeneratorOption = DEFAULT_GENERATOR,
) -> None:
    """Find the latents of photographs, for `edit --latent`.

    Each face gets a folder OUT/NAME with its crop, its latent (latent.npz), the reconstruction, both side by side, the
    curves of the losses, and how near it comes (metrics.json). A run that was stopped goes on where it was when it is
    started again with the same options.

    \b
    Examples:
      jaxedit project portrait.jpg --out projected                    three minutes on two CPU cores
      jaxedit project holidays --out projected --batch-size 8         a folder of photos, on an accelerator
      jaxedit project holidays --out projected --batch-size 32 --devices 4      on four of them
      jaxedit project portrait.jpg --out projected --tune             nearer to the photo, some minutes more
      jaxedit edit --latent projected/portrait smile=+1 --compare     edit with the result
    """
    from jaxedit.inversion.photo import list_photos
    from jaxedit.inversion.presets import preset as preset_of
    from jaxedit.inversion.presets import tuning_preset
    from jaxedit.inversion.project_photos import project_photos
    from jaxedit.inversion.reconstruction_quality import metrics_text
    from jaxedit.pretrained.registry import load_generator

    config = preset_of(preset, num_steps=num_steps, seed=seed)
    summary = project_photos(
        list_photos(photos),
        out,
        load_generator(generator),
        generator_name=generator,
        config=config,
        tuning=tuning_preset(preset, seed=seed) if tune else None,
        batch_size=batch_size,
        devices=devices,
        all_faces=all_faces,
        is_aligned=aligned,
    )
    for folder, done in summary.metrics.items():
        tuned = f"; tuned: {metrics_text(done['tuned_metrics'])}" if "tuned_metrics" in done else ""
        print(f"{folder}: {metrics_text(done['metrics'])}{tuned}")
    for problem in summary.failures.values():
        print(f"jaxedit: error: {' '.join(problem.split())}", file=sys.stderr)
    if summary.failures:
        raise typer.Exit(2)


@app.command()
def evaluate(
    axes: Annotated[
        list[str] | None,
        typer.Option(
            help="A known generator (for its own axes) or a folder of `jaxedit learn`; NAME=FOLDER names it. "
            "Any number of times."
        ),
    ] = None,
    directions: Annotated[
        list[str] | None,
        typer.Option(
            help="A .npz with a direction of W [512] or W+ [16, 512] for each attribute, or NAME=FILE. "
            "Any number of times."
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(help="OLD=NEW for a direction of another name, OLD=-NEW to turn it round."),
    ] = None,
    attributes: Annotated[
        str | None,
        typer.Option(help="Targets, separated by commas. Without it, age, gender, smile and yaw."),
    ] = None,
    faces: Annotated[int, typer.Option(help="How many faces.")] = 400,
    pilot: Annotated[int, typer.Option(help="How many of them are also edited step by step.")] = 48,
    change: Annotated[float, typer.Option(help="Mean change of the target, in standard deviations.")] = 1.0,
    judges: Annotated[
        bool, typer.Option("--judges/--no-judges", help="Ask networks too that had no part in the axes.")
    ] = True,
    judge_labels: Annotated[
        Path | None,
        typer.Option(help="Labels by these networks: they help to fix what one standard deviation is."),
    ] = None,
    lpips: Annotated[
        bool, typer.Option("--lpips/--no-lpips", help="Take the perceptual distance to the original too.")
    ] = True,
    seed: Annotated[
        int, typer.Option("--seed", "-s", help="Of the faces. The labels that come along have seed 0.")
    ] = 1,
    truncation_psi: Annotated[float, typer.Option(help="1 takes all faces, less the more usual ones.")] = 1.0,
    batch_size: Annotated[int, typer.Option(help="Faces at once: 4 suits a CPU, 32 an accelerator.")] = 4,
    generator: GeneratorOption = DEFAULT_GENERATOR,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the result, new or to go on with.")
    ] = Path("evaluation"),
) -> None:
    """Measure what edits change beside their target, and compare methods at equal change.

    Every method moves the same faces along each target until it has changed as much; networks then say what else has
    changed. Without axes and directions, it is the generator's own axes that are measured. A run that was stopped
    goes on where it was when it is started again with the same options.

    \b
    Examples:
      jaxedit evaluate --faces 40 --pilot 12 --no-judges         a first look: some minutes on two CPU cores
      jaxedit evaluate --out evaluation                          evaluation/index.html, about half an hour
      jaxedit evaluate --axes mobile-stylegan-ffhq --axes mine=axes --attributes age,smile
      jaxedit evaluate --axes ours=mobile-stylegan-ffhq --directions theirs=directions.npz --rename pose=-yaw
    """
    import jax.numpy as jnp

    from jaxedit import evaluation
    from jaxedit.attributes.faces.face_attributes import FaceAttributes, FaceIdentity
    from jaxedit.attributes.independent.classifiers import (
        INDEPENDENT_COLUMNS,
        IndependentAttributes,
        IndependentIdentity,
    )
    from jaxedit.evaluation.comparison import TARGETS
    from jaxedit.evaluation.methods import load_direction_files
    from jaxedit.evaluation.report.comparison_page import write_page
    from jaxedit.inversion.lpips import MIN_SIZE
    from jaxedit.inversion.lpips_pretrained import load_lpips
    from jaxedit.labels.labels_file import load_labels
    from jaxedit.latents.seed_stream import sample_z
    from jaxedit.pretrained.registry import KNOWN_GENERATORS, load_axes, load_generator, load_labelled_latents

    if faces < 2:
        raise InputError(f"faces: expected 2 or more, got {faces}")
    chosen = named_paths(axes or ([] if directions else [f"jaxedit={generator}"]))
    files = named_paths(directions or [])
    methods: list[evaluation.EditingMethod] = [
        *load_direction_files(files, rename=parse_renames(rename or []))
    ]
    methods = [*(evaluation.AxesMethod(n, load_axes(path)) for n, path in chosen.items()), *methods]
    model = load_generator(generator)
    identity: dict[str, Any] = {"face-api": FaceIdentity()}
    opinions = {}
    if judges:
        referee = IndependentAttributes(INDEPENDENT_COLUMNS)
        reference = None
        if judge_labels is not None:
            labels = load_labels(judge_labels / "labels.npz" if judge_labels.is_dir() else judge_labels)
            reference = labels.select(referee.names).values
        opinions["independent networks"] = evaluation.Judge(referee, reference=reference)
        identity["mobileface"] = IndependentIdentity("mobileface")
    z = jnp.asarray(sample_z(seed, faces, model.z_dim))
    result = evaluation.evaluate(
        model,
        methods,
        model.mapping(z, truncation_psi=truncation_psi),
        FaceAttributes(),
        out=out,
        attribute_names=TARGETS if attributes is None else [n.strip() for n in attributes.split(",")],
        reference=load_labelled_latents(generator, model) if generator in KNOWN_GENERATORS else None,
        identity=identity,
        judges=opinions,
        perceptual=load_lpips("alex") if lpips and model.resolution >= MIN_SIZE else None,
        change=change,
        pilot=pilot,
        batch_size=batch_size,
        generator_name=generator,
    )
    print(result.summary())
    print(f"open {write_page(result)}")


@app.command()
def info(
    what: Annotated[
        str | None, typer.Argument(help="A known generator, or a folder of labels, axes or weights.")
    ] = None,
) -> None:
    """Show versions and the cache, or what a folder holds.

    \b
    Examples:
      jaxedit info                          versions, devices, cache
      jaxedit info mobile-stylegan-ffhq     the generator and the attributes of its axes
      jaxedit info axes                     the attributes and numbers of learnt axes
    """
    from jaxedit.pretrained.inspection import describe, describe_installation

    print(describe_installation() if what is None else describe(what))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the page.")] = Path("demo"),
    seed: SeedOption = 0,
    faces: Annotated[int, typer.Option(help="How many faces get a contact sheet.")] = 6,
) -> None:
    """Go the whole way, to a page of edited faces.

    \b
    Examples:
      jaxedit demo                          demo/index.html, a few minutes on two CPU cores
      jaxedit demo --out more --faces 12
    """
    from jaxedit.demos.faces import run_demo

    page = run_demo(out, seed=seed, faces=faces)
    print(f"open {page}")


@app.command(name="demo-photo")
def demo_photo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the image.")] = Path("demo-photo"),
    preset: Annotated[Preset, typer.Option(help="Settings of the projection.")] = Preset.FAST,
    num_steps: NumStepsOption = None,
) -> None:
    """Project a photograph and edit it, to one image.

    The photograph is scikit-image's astronaut: pip install 'jaxedit[photo]'.

    \b
    Examples:
      jaxedit demo-photo                    demo-photo/photo.png, some five minutes on two CPU cores
      jaxedit demo-photo --num-steps 100    a rougher likeness, sooner
    """
    from jaxedit.demos.photo import run_demo_photo
    from jaxedit.inversion.presets import preset as preset_of

    print(f"open {run_demo_photo(out, config=preset_of(preset, num_steps=num_steps))}")


def _write_safetensors(out: Path, config: dict[str, Any], arrays: dict[str, Any]) -> None:
    from weights_conversion.safetensors_folder import write_folder

    with conversion_errors():
        write_folder(out, config, arrays)


def _summary(config: dict[str, Any], arrays: dict[str, Any]) -> str:
    """One line: family, resolution, architecture, labels, number of parameters."""
    import jax

    size, labels = config["resolution"], config.get("c_dim", 0)
    count = sum(leaf.size for leaf in jax.tree.leaves(arrays))
    parts = [config["family"], f"{size} × {size}"]
    if "architecture" in config:
        parts += [config["architecture"], f"{labels} labels" if labels else "unconditional"]
    return ", ".join([*parts, f"{count / 1e6:.1f} million numbers"])


def parse_edits(arguments: list[str]) -> dict[str, float]:
    """`["age=+1.5", "smile=-1"]` as amounts by name.

    Raises:
        InputError: if an argument is not NAME=NUMBER, or a name comes twice.
    """
    edits: dict[str, float] = {}
    for argument in arguments:
        name, equals, amount = argument.partition("=")
        try:
            value = float(amount.replace("−", "-"))
        except ValueError:
            value = None
        if not name or not equals or value is None:
            raise InputError(f"expected ATTRIBUTE=AMOUNT such as age=+1.5, got '{argument}'")
        if name in edits:
            raise InputError(f"expected each attribute once, got '{name}' twice")
        edits[name] = value
    return edits


def named_paths(arguments: list[str]) -> dict[str, str]:
    """`["mine=axes", "folder/other"]` as paths by name: the last part of a path without a name is its name.

    Raises:
        InputError: if a name comes twice.
    """
    paths: dict[str, str] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals:
            name, path = Path(argument).resolve().name.removesuffix(".npz"), argument
        if not name or not path:
            raise InputError(f"expected a path or NAME=PATH, got '{argument}'")
        if name in paths:
            raise InputError(f"expected each name once, got '{name}' twice: write NAME={path}")
        paths[name] = path
    return paths


def parse_renames(arguments: list[str]) -> dict[str, str]:
    """`["pose=-yaw"]` as names by name.

    Raises:
        InputError: if an argument is not OLD=NEW.
    """
    pairs = [argument.split("=") for argument in arguments]
    for argument, pair in zip(arguments, pairs, strict=True):
        if len(pair) != 2 or not pair[0] or not pair[1].removeprefix("-"):
            raise InputError(f"--rename: expected OLD=NEW such as pose=yaw, got '{argument}'")
    return {pair[0]: pair[1] for pair in pairs}


def _projected(
    photo: Path, model: "Generator", generator: str, preset: Preset | None, num_steps: int | None
) -> "tuple[SavedLatent, np.ndarray]":
    """The latent and the crop of a photograph's largest face."""
    from jaxedit.inversion.cached_projection import project_cached
    from jaxedit.inversion.presets import preset as preset_of
    from jaxedit.latents.latent_files import load_latent_file

    config = preset_of(preset, num_steps=num_steps)
    folder = project_cached(photo, model, generator_name=generator, config=config)
    return load_latent_file(folder.path), folder.crop()


def _seed_latent(generator: "Generator", seed: int, truncation_psi: float) -> "jax.Array":
    import jax.numpy as jnp

    from jaxedit.latents.seed_stream import sample_z

    z = jnp.asarray(sample_z(seed, 1, generator.z_dim))
    return generator.mapping(z, truncation_psi=truncation_psi)


def _labelled_latents(generator: str, labels: Path | None, attributes: str | None) -> "LabelledLatents":
    import dataclasses

    from jaxedit.pretrained.registry import load_generator, load_labelled_latents

    if labels is None:
        dataset = load_labelled_latents(generator)
    elif generator == DEFAULT_GENERATOR:
        dataset = load_labelled_latents(labels)  # of the generator that the labels name
    else:
        dataset = load_labelled_latents(labels, load_generator(generator))
    if attributes is None:
        return dataset
    names = tuple(name.strip() for name in attributes.split(","))
    unknown = [name for name in names if name not in dataset.attribute_names]
    if unknown or len(set(names)) != len(names):
        raise InputError(
            f"--attributes: expected each once, some of {', '.join(dataset.attribute_names)}; got '{attributes}'"
        )
    columns = [dataset.attribute_names.index(name) for name in names]
    units = tuple(dataset.attribute_units[column] for column in columns)
    return dataclasses.replace(
        dataset, values=dataset.values[:, columns], attribute_names=names, attribute_units=units
    )
