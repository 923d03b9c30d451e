"""Pretrained weights by name, fetched before they are needed."""

from pathlib import Path

from jaxedit.attributes.faces.networks import FaceNetworks
from jaxedit.attributes.person.mask import PersonMask
from jaxedit.errors import InputError
from jaxedit.nn.lpips import LPIPS, NETWORKS
from jaxedit.pretrained.known_generators import KNOWN_GENERATORS
from jaxedit.pretrained.registry import load_generator
from jaxedit.storage.download import cache_dir

_FACE_NETWORKS, _LPIPS, _PERSON = "face-api", "lpips", "person-mask"


def fetch_weights(name: str) -> Path:
    """Download weights and convert them into the cache, where they are not there yet.

    Args:
        name: a known generator, "face-api" (the face networks), "lpips" (the perceptual distance) or "person-mask".

    Returns:
        The cache folder.

    Raises:
        InputError: if the name is unknown.
        DownloadError: if a source cannot be fetched.
        OutputError: if the cache cannot be written.
    """
    if name == _FACE_NETWORKS:
        FaceNetworks.from_pretrained()
    elif name == _LPIPS:
        for network in NETWORKS:
            LPIPS.from_pretrained(network)
    elif name == _PERSON:
        PersonMask.from_pretrained()
    elif name in KNOWN_GENERATORS:
        load_generator(name)
    else:
        known = ", ".join([*KNOWN_GENERATORS, _FACE_NETWORKS, _LPIPS, _PERSON])
        raise InputError(f"name: expected one of {known}, got '{name}'")
    return cache_dir()
