"""Known generators, and the files that ship with them."""

from jaxedit.pretrained.known_generators import KNOWN_GENERATORS
from jaxedit.pretrained.registry import (
    load_axes,
    load_generator,
    load_labelled_latents,
    save_generator,
)

__all__ = ["KNOWN_GENERATORS", "load_axes", "load_generator", "load_labelled_latents", "save_generator"]
