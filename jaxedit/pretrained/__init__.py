"""Known generators, and the files that ship with them."""

from jaxedit.pretrained.registry import (
    KNOWN_GENERATORS,
    load_axes,
    load_generator,
    load_labelled_latents,
    save_generator,
)

__all__ = ["KNOWN_GENERATORS", "load_axes", "load_generator", "load_labelled_latents", "save_generator"]
