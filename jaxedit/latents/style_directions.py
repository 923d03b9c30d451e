"""Directions in StyleSpace from files (Wu, Lischinski and Shechtman, *StyleSpace Analysis*, CVPR 2021).

A direction moves the styles of some or all layers. Its file is one of: a list of arrays in the order of the layers, as
the original code pickles styles; the same in one flat array; a dict of arrays by the name of the layer (`b64.conv1`).
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxedit.errors import InputError
from jaxedit.generators.stylegan2.generator import StyleGAN2
from jaxedit.storage.foreign_arrays import read_any_arrays
from jaxedit.storage.paths import as_path

_EXPECTED = "a direction of StyleSpace (a .npy, .npz, .pt or .pkl)"


def load_style_direction(path: str | Path, generator: StyleGAN2) -> dict[str, Float[np.ndarray, " channels"]]:
    """A direction in StyleSpace, float32, by the names of the layers that it moves.

    Args:
        path: the file.
        generator: whose styles it shall move; the shapes are checked against its `style_channels`.

    Returns:
        What to add to `generator.styles(w)`, times an amount, before `generator.synthesis_from_styles`.

    Raises:
        InputError: if the file is missing or damaged, or holds other arrays than the generator's layers have.

    Examples:
        >>> import tempfile, jax, jax.numpy as jnp, numpy as np
        >>> from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
        >>> from jaxedit.generators.stylegan2.initial import initial_params
        >>> from jaxedit.latents.style_directions import load_style_direction
        >>> config = StyleGAN2Config.of_size(8, channel_max=4, z_dim=8, w_dim=8, mapping_layers=1)
        >>> generator = StyleGAN2(config, initial_params(config, jax.random.key(0)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/direction.npz", **{"b8.conv0": np.ones(4)})
        ...     direction = load_style_direction(f"{folder}/direction.npz", generator)
        >>> styles = generator.styles(jnp.ones((1, 8)))
        >>> edited = styles | {name: styles[name] + 2.0 * move for name, move in direction.items()}
        >>> generator.synthesis_from_styles(edited).shape
        (1, 8, 8, 3)
    """
    path, channels = as_path(path), generator.style_channels
    tree = read_any_arrays(path, expected=_EXPECTED).tree
    if isinstance(tree, dict):
        parts = tree
    elif isinstance(tree, list):
        if len(tree) != len(channels):
            raise InputError(
                f"{path}: expected arrays of {len(channels)} layers of StyleSpace, found {len(tree)}"
            )
        parts = dict(zip(channels, tree, strict=True))
    else:
        flat, total = np.asarray(tree).reshape(-1), sum(channels.values())
        if len(flat) != total:
            raise InputError(
                f"{path}: expected {total} channels of StyleSpace, as this generator's, found shape {list(tree.shape)}"
            )
        parts = dict(zip(channels, np.split(flat, np.cumsum(list(channels.values()))[:-1]), strict=True))
    if unknown := [name for name in parts if name not in channels]:
        raise InputError(f"{path}: expected some of the layers {', '.join(channels)}, found {unknown[0]!r}")
    return {name: _checked(part, channels[name], where=f"{path}: {name}") for name, part in parts.items()}


def _checked(part: Any, channels: int, *, where: str) -> np.ndarray:
    if (
        not isinstance(part, np.ndarray)
        or part.dtype.kind not in "fiu"
        or part.shape not in ((channels,), (1, channels))
    ):
        found = list(part.shape) if isinstance(part, np.ndarray) else type(part).__name__
        raise InputError(f"{where}: expected numbers of shape [{channels}], found {found}")
    part = part.reshape(-1).astype(np.float32)
    if not np.isfinite(part).all():
        raise InputError(f"{where}: expected finite numbers, found NaN or infinity")
    return part
