"""The demos: demo, demo-photo."""

from pathlib import Path
from typing import Annotated

import typer

from jaxedit.cli.options import NumStepsOption, Preset, SeedOption


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the page.")] = Path("demo"),
    seed: SeedOption = 0,
    faces: Annotated[int, typer.Option(help="Number of faces, each with a contact sheet.")] = 6,
) -> None:
    """Learn axes, edit faces, and write a page of images.

    The axes are learned from the shipped labels. The other commands use the shipped axes and learn nothing.

    \b
    Examples:
      jaxedit demo                          demo/index.html, a few minutes on two CPU cores
      jaxedit demo --out more --faces 12
    """
    from jaxedit.demos.faces import run_demo

    page = run_demo(out, seed=seed, faces=faces)
    print(f"open {page}")


def demo_photo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the image.")] = Path("demo-photo"),
    preset: Annotated[Preset, typer.Option(help="Settings of the projection.")] = Preset.QUICK,
    num_steps: NumStepsOption = None,
) -> None:
    """Edit a photograph and paste the edits back, in one image.

    The photograph, four edits of its face, and the photograph with each of them in it.

    The photograph is scikit-image's astronaut: pip install 'jaxedit[photo]'.

    \b
    Examples:
      jaxedit demo-photo                    demo-photo/photo.png, a minute on two CPU cores
      jaxedit demo-photo --preset fast      more likeness, three minutes
    """
    from jaxedit.demos.photo import run_demo_photo
    from jaxedit.inversion.presets import preset as preset_of

    print(f"open {run_demo_photo(out, config=preset_of(preset, num_steps=num_steps, has_encoder=True))}")
