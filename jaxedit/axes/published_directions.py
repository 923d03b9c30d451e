"""Edits along published directions: straight lines in W or W+, and in StyleSpace.

With d a direction and a its amount, the latent becomes w' = w + a d, in all layers of W+ or in some. A direction e of
StyleSpace changes the styles that the layers make of the latent: s' = s + a e (Wu, Lischinski and Shechtman,
*StyleSpace Analysis*, CVPR 2021).

Nothing in such files says on which generator a direction was found, or how it is scaled: shapes are checked, and an
amount of 1 is the direction as it stands in its file.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.axes.editing import Layers, layer_mask
from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator, broadcast_w
from jaxedit.latents.direction_files import read_direction_file
from jaxedit.latents.style_directions import load_style_direction

_CHANNEL = re.compile(r"([\w.]+):(\d+)")


def read_directions_for(
    generator: Generator, files: Iterable[tuple[str | None, str | Path]]
) -> dict[str, Float[np.ndarray, " w_dim"] | Float[np.ndarray, "num_ws w_dim"]]:
    """Directions of W or W+ from files by name, checked against a generator.

    Args:
        generator: whose latents they shall move.
        files: each with a name for its direction, or None for the names that it gives; as
            `jaxedit.latents.direction_files` lists them.

    Raises:
        InputError: if a file cannot be read, a direction has another shape than the generator's latents, a file that
            gets a name holds several, or two directions have one name.
    """
    width, layers = generator.w_dim, generator.num_ws
    found: dict[str, np.ndarray] = {}
    for name, path in files:
        directions = read_direction_file(path)
        if name is not None:
            if len(directions) != 1:
                raise InputError(
                    f"{path}: expected one direction to call {name!r}, found {len(directions)}: "
                    f"{', '.join(list(directions)[:5])}{', …' if len(directions) > 5 else ''}"
                )
            directions = {name: next(iter(directions.values()))}
        for key, direction in directions.items():
            if direction.shape not in ((width,), (layers, width)):
                raise InputError(
                    f"{path}: {key}: expected a direction of shape [{width}] or [{layers}, {width}], as this "
                    f"generator's latents, got {list(direction.shape)}"
                )
            if key in found:
                raise InputError(
                    f"{path}: expected each direction once, got {key!r} twice: write NAME={path}"
                )
            found[key] = direction
    return found


def move_along(
    w: Float[Array | np.ndarray, "batch *layers_in w_dim"],
    directions: Mapping[str, Float[Array | np.ndarray, "*_ w_dim"]],
    amounts: Mapping[str, float],
    *,
    num_ws: int,
    layers: Layers | None = None,
) -> Float[Array, "batch *layers_out w_dim"]:
    """Latents moved along directions, w' = w + Σ a d.

    Args:
        w: latents of W [batch, w_dim] or W+ [batch, num_ws, w_dim], float32.
        directions: by name, [w_dim] or [num_ws, w_dim].
        amounts: of some of them.
        num_ws: number of layers of W+.
        layers: the layers of W+ to move: a range, a slice or indices. None for all.

    Returns:
        Latents of W if w and all directions are of W and no layers are named; else of W+.

    Raises:
        InputError: if a direction is unknown, an amount is not finite, or a layer does not exist.

    Examples:
        >>> import numpy as np
        >>> from jaxedit.axes.published_directions import move_along
        >>> w, age = np.zeros((1, 4), np.float32), np.ones(4, np.float32)
        >>> move_along(w, {"age": age}, {"age": 2.0}, num_ws=6).shape
        (1, 4)
        >>> moved = move_along(w, {"age": age}, {"age": 2.0}, num_ws=6, layers=range(2, 4))
        >>> moved[0, :, 0].tolist()
        [0.0, 0.0, 2.0, 2.0, 0.0, 0.0]
    """
    moved = jnp.asarray(w)
    mask = None if layers is None else jnp.asarray(layer_mask(layers, num_ws))[:, None]
    for name, amount in amounts.items():
        if name not in directions:
            raise InputError(f"edits: unknown direction '{name}'; known: {', '.join(directions)}")
        direction = jnp.asarray(directions[name])
        check_amount(name, amount)
        if mask is not None:
            direction = mask * direction
        if direction.ndim == 2:
            moved = broadcast_w(moved, num_ws)
        moved = moved + amount * direction
    return moved


def is_style_channel(name: str) -> bool:
    """Whether a name is that of a channel of StyleSpace, LAYER:CHANNEL."""
    return _CHANNEL.fullmatch(name) is not None


def style_moves(
    generator: Generator,
    amounts: Mapping[str, float],
    files: Mapping[str, str | Path] | None = None,
) -> dict[str, Float[np.ndarray, "1 channels"]]:
    """What to add to the styles of a generator, by the layers that move: Σ a e.

    Args:
        generator: a StyleGAN2.
        amounts: by the name of a direction; or by a channel, LAYER:CHANNEL, with the layer's name or its number in the
            order of `StyleGAN2.style_channels`, which is that of the paper: "b64.conv0:112", "12:112".
        files: directions by name, as `load_style_direction` reads them.

    Raises:
        InputError: if the generator has no styles, a file does not fit it, a direction, a layer or a channel is
            unknown, or an amount is not finite.
    """
    model: Any = getattr(generator, "generator", generator)  # a class is chosen
    if not hasattr(model, "style_channels"):
        raise InputError(
            f"generator: expected a StyleGAN2 for edits in StyleSpace, got {type(model).__name__}, which has other "
            "styles"
        )
    known = {name: load_style_direction(path, model) for name, path in (files or {}).items()}
    moves = {name: np.zeros((1, channels), np.float32) for name, channels in model.style_channels.items()}
    for name, amount in amounts.items():
        check_amount(name, amount)
        if name in known:
            for layer, direction in known[name].items():
                moves[layer] += amount * direction
        else:
            layer, channel = _channel(name, model.style_channels)
            moves[layer][0, channel] += amount
    return {name: move for name, move in moves.items() if move.any()}


def _channel(name: str, channels: dict[str, int]) -> tuple[str, int]:
    """The layer and the channel that LAYER:CHANNEL names."""
    found = _CHANNEL.fullmatch(name)
    if found is None:
        raise InputError(
            f"edits: expected a direction or a channel LAYER:CHANNEL such as b64.conv0:112, got {name!r}"
        )
    layer, channel = found[1], int(found[2])
    layers = list(channels)
    if layer.isdecimal() and int(layer) < len(layers):
        layer = layers[int(layer)]
    if layer not in channels:
        raise InputError(
            f"edits: {name}: expected a layer of StyleSpace, 0…{len(layers) - 1} or one of {', '.join(layers)}"
        )
    if channel >= channels[layer]:
        raise InputError(f"edits: {name}: expected a channel of {layer}, 0…{channels[layer] - 1}")
    return layer, channel


def check_amount(name: str, amount: float) -> None:
    """Raise `InputError` unless an amount is finite."""
    if not np.isfinite(amount):
        raise InputError(f"amount of '{name}': expected a finite number, got {amount}")
