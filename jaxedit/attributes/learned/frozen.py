"""Frozen networks that show a head where things are in an image: AlexNet, and a network of faces.

Two that learned different things from different images are two views of one concept. AlexNet learned to name objects
(ImageNet); faceres learned to tell people apart (see `jaxedit.attributes.independent.classifiers`). An edit that moves
the one head and not the other has fooled it.
"""

from typing import Literal, Protocol, runtime_checkable

import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.attributes.independent.pretrained import load_maps
from jaxedit.nn.graph_network import GraphNetwork
from jaxedit.nn.lpips import LPIPS

FrozenName = Literal["alex", "faceres"]
FROZEN: tuple[FrozenName, ...] = ("alex", "faceres")
"""Names of the networks."""

_FINE, _COARSE = "conv_pw_5_relu/clip_by_value", "conv_pw_11_relu/clip_by_value"
_MEAN_BGR = (103.939, 116.779, 123.68)
"""Of the images that faceres was trained on, 0…255."""


@runtime_checkable
class FrozenMaps(Protocol):
    """Images of any size to two maps of features; a pytree."""

    network: str

    def maps(
        self, images: Float[Array, "batch height width 3"]
    ) -> tuple[Float[Array, "batch h1 w1 c1"], Float[Array, "batch h2 w2 c2"]]:
        """The finer and the coarser map of images in [-1, 1]."""


class AlexMaps(nnx.Module):
    """The third and the fifth convolution of the AlexNet of LPIPS (Zhang et al., CVPR 2018)."""

    def __init__(self, lpips: LPIPS) -> None:
        self.lpips = lpips
        self.network = lpips.network

    def maps(
        self, images: Float[Array, "batch height width 3"]
    ) -> tuple[Float[Array, "batch h1 w1 c1"], Float[Array, "batch h2 w2 c2"]]:
        """Maps of a sixteenth of the height and width, of 384 and of 256 channels."""
        layers = self.lpips.activations(images)
        return layers[2], layers[4]


class FaceresMaps(nnx.Module):
    """The fifth and the eleventh block of faceres, a MobileNet for identity (Savchenko, PeerJ CS 2019)."""

    network = "faceres"

    def __init__(self, graph: GraphNetwork) -> None:
        self.graph = graph

    def maps(
        self, images: Float[Array, "batch height width 3"]
    ) -> tuple[Float[Array, "batch h1 w1 c1"], Float[Array, "batch h2 w2 c2"]]:
        """Maps of an eighth and of a sixteenth of the height and width, of 256 and of 512 channels."""
        fine, coarse = self.graph(images[..., ::-1] * 127.5 + (127.5 - np.array(_MEAN_BGR, np.float32)))
        return fine, coarse


def load_frozen(network: str) -> FrozenMaps:
    """A network of `FROZEN`.

    Raises:
        DownloadError: if its weights cannot be fetched (alex: 64 MB; faceres: 145 MB; once).
        KeyError: if it is unknown.
    """
    if network == "faceres":
        return FaceresMaps(load_maps("faceres", (_FINE, _COARSE)))
    if network == "alex":
        return AlexMaps(LPIPS.from_pretrained("alex"))
    raise KeyError(network)
