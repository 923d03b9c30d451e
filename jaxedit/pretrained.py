"""Generators by name: the source fetched (pinned, cached), converted once, kept as a checkpoint, loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import DTypeLike

from jaxedit.cache import cached_checkpoint
from jaxedit.checkpoint import load_checkpoint, save_checkpoint
from jaxedit.errors import CheckpointError, InputError
from jaxedit.generators.layers import module_params
from jaxedit.generators.mobile_stylegan import MobileStyleGAN, MobileStyleGANConfig
from jaxedit.sources import RANDOM_FACE, Source, fetch
from weights_conversion.mobile_stylegan import convert_wheel

KIND = "generator"


class KnownGenerator(NamedTuple):
    """A generator that is loaded by name."""

    source: Source
    convert: Callable[[Path], tuple[dict[str, Any], dict[str, Any]]]
    layout: int
    """Part of the folder's name in the cache: raised whenever the converted names, shapes or numbers change."""


KNOWN_GENERATORS = {"mobile-stylegan-ffhq": KnownGenerator(RANDOM_FACE, convert_wheel, 1)}


def load_generator(name: str | Path, *, dtype: DTypeLike = jnp.float32) -> MobileStyleGAN:
    """A pretrained generator.

    Args:
        name: a known name (`mobile-stylegan-ffhq`: faces at 1024²), or the folder of a converted checkpoint. A known
            generator is fetched and converted on first use (37.6 MB) and then kept in the cache.
        dtype: in which the synthesis network computes: float32 or bfloat16.

    Raises:
        InputError: if the name is neither known nor a folder, or the dtype is another.
        DownloadError: if the source cannot be fetched.
        CheckpointError: if the folder is damaged, foreign or newer.
        OutputError: if the cache cannot be written.
    """
    if jnp.dtype(dtype) not in (jnp.float32, jnp.bfloat16):
        raise InputError(f"dtype: expected float32 or bfloat16, got {jnp.dtype(dtype)}")
    known = KNOWN_GENERATORS.get(str(name))
    if known is not None:
        config, arrays = cached_checkpoint(
            f"{name}-{known.source.version}-{known.layout}",
            kind=KIND,
            make=lambda: known.convert(fetch(known.source)),
        )
    elif Path(name).exists():
        config, arrays = load_checkpoint(name, kind=KIND)
    else:
        raise InputError(
            f"generator {str(name)!r}: expected one of {', '.join(KNOWN_GENERATORS)}, or a checkpoint folder"
        )
    if config.get("family") != MobileStyleGAN.family:
        raise CheckpointError(f"{name}: unknown generator family {config.get('family')!r}")
    try:
        shape: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in config.items()
            if key != "family"
        }
        return MobileStyleGAN(MobileStyleGANConfig(**shape), arrays, dtype=dtype)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{name}: damaged: {error}") from error


def save_generator(generator: MobileStyleGAN, folder: str | Path) -> Path:
    """Write a generator to a checkpoint folder, which `load_generator` reads.

    Raises:
        OutputError: if the folder cannot be written.
    """
    return save_checkpoint(folder, kind=KIND, config=generator.describe(), arrays=module_params(generator))
