"""Options that several commands share."""

import enum
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_GENERATOR = "mobile-stylegan-ffhq"

GeneratorOption = Annotated[
    str, typer.Option("--generator", "-g", help="Known generator, or folder of a converted checkpoint.")
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Take axes of another generator: for a distilled or fine-tuned one, which shares its W with theirs.",
    ),
]
HostOption = Annotated[
    str, typer.Option(help="Interface to serve. Default: this machine alone. 0.0.0.0: the whole network.")
]
NoBrowserOption = Annotated[bool, typer.Option("--no-browser", help="Do not open the browser.")]
SeedOption = Annotated[
    int, typer.Option("--seed", "-s", help="Seed, 0 … 4294967295. The same seed gives the same result.")
]
DevicesOption = Annotated[
    int | None,
    typer.Option(
        help="Number of devices that share each batch. Default: as many of the available ones as divide the batch "
        "evenly."
    ),
]
FaceOption = Annotated[
    str | None,
    typer.Option(
        "--face",
        metavar="NUMBER|X,Y",
        help="One face of the photo: its number, 1 for the largest, or a place in it, in pixels from the top left.",
    ),
]
ThoroughOption = Annotated[
    bool,
    typer.Option(
        "--thorough",
        help="Search for small and turned faces in every photo, not only where no face is found. Takes some seconds a "
        "photo.",
    ),
]


class Where(enum.StrEnum):
    """Where an edit may change the image."""

    PLACE = "place"
    PERSON = "person"
    EVERYWHERE = "everywhere"


_WHERE = (
    "Where the image may change. place: where the attribute is seen, such as glasses about the eyes. person: all but "
    "what lies behind. everywhere: as the generator draws it. "
)
WhereOption = Annotated[
    Where | None,
    typer.Option(
        "--where",
        help=f"{_WHERE}Default: place along axes of faces, everywhere along directions. The network that finds the "
        "person is fetched once (145 MB).",
    ),
]
StudyWhereOption = Annotated[
    Where,
    typer.Option("--where", help=f"{_WHERE}With place, directions of others change the person."),
]
PhotosArgument = Annotated[
    list[Path], typer.Argument(metavar="PHOTO...", help="Images, or folders of images.")
]


class Preset(enum.StrEnum):
    """Settings of a projection."""

    INSTANT = "instant"
    QUICK = "quick"
    FINE = "fine"
    FAST = "fast"
    QUALITY = "quality"
    OFFICIAL = "official"


PresetOption = Annotated[
    Preset | None,
    typer.Option(
        help="Settings of the projection. instant: an encoder alone, a first look. quick: 24 steps from the "
        "encoder's latent. fine: the same, then 100 steps that tune the generator to the face. fast: 200 steps from "
        "the mean face, three minutes on two CPU cores. quality: for an accelerator. official: as published, for a "
        "StyleGAN2. Default: fast on a CPU, quality elsewhere."
    ),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(help="Folder of `jaxedit train-encoder`. Default: the encoder of a known generator."),
]
NumStepsOption = Annotated[
    int | None,
    typer.Option(help="Number of projection steps, instead of the preset's. Fewer steps are faster."),
]
