"""The command about versions, the cache, and folders: info."""

from typing import Annotated

import typer


def info(
    what: Annotated[
        str | None, typer.Argument(help="Known generator, or folder of labels, axes or weights.")
    ] = None,
) -> None:
    """Describe the installation, a generator or a folder.

    \b
    Examples:
      jaxedit info                          versions, devices, cache
      jaxedit info mobile-stylegan-ffhq     the generator and the attributes of its axes
      jaxedit info axes                     the attributes and numbers of learned axes
    """
    from jaxedit.pretrained.inspection import describe, describe_installation

    print(describe_installation() if what is None else describe(what))
