"""Detection of the generator inside a checkpoint of PyTorch or a file of named arrays.

Libraries keep a state dict under keys of their own (`g_ema`, `params_ema`, `state_dict`) and below prefixes of their
own (`module.`, `decoder.`). The name of one array tells which code the generator belongs to, and where in the
checkpoint it lies.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from weights_conversion.errors import ConversionError
from weights_conversion.formats.safe_pickle import describe, shorten

MARKERS = {
    "mobile-stylegan": "student.input.input",
    "rosinality": "input.input",
    "basicsr": "constant_input.weight",
    "official": "synthesis.b4.const",
    "stylegan3": "synthesis.input.freqs",
}
"""Kind of a generator → the array that tells it; the first that is found decides."""

KEYS = (
    *("g_ema", "G_ema", "params_ema", "ema", "generator_ema", "state_dict", "model_state_dict"),
    *("g", "G", "params", "generator", "netG", "model"),
)
"""Keys under which checkpoints keep a generator, the average over the training first."""

_PREFIXES = ("", "module.", "g_ema.", "G_ema.", "generator_ema.", "decoder.", "generator.", "g.", "G.")
"""Prefixes of names in a state dict that holds several networks, in the order of preference."""

_MAX_NAMES = 100_000


class Found(NamedTuple):
    """A generator in a checkpoint."""

    kind: str
    """A key of `MARKERS`."""
    state: dict[str, Any]
    """Name below the generator → tensor."""
    prefix: str
    """What stood before the names."""


def find_state(checkpoint: Any, *, name: str) -> Found:
    """Find the state dict of a generator.

    Args:
        checkpoint: what the file holds.
        name: what to call the file in an error.

    Raises:
        ConversionError: if there is none, or several among which nothing tells the right one.
    """
    if type(checkpoint) is not dict:
        raise ConversionError(f"{name}: expected a generator or its state dict, found {describe(checkpoint)}")
    inner = [checkpoint[key] for key in KEYS if type(checkpoint.get(key)) is dict]
    for state in [*inner, *(nested for level in inner for nested in _nested(level)), checkpoint]:
        if (found := _find_in(state, name)) is not None:
            return found
    keys = ", ".join(describe(key) for key in list(checkpoint)[:4]) or "nothing"
    raise ConversionError(
        f"{name}: expected the state dict of a StyleGAN2, StyleGAN3 or MobileStyleGAN (as g_ema, params_ema, "
        f"state_dict, …), found {keys}"
    )


def _nested(level: dict[Any, Any]) -> list[dict[Any, Any]]:
    return [level[key] for key in KEYS if type(level.get(key)) is dict]


def _find_in(state: Mapping[Any, Any], name: str) -> Found | None:
    names = {key for key in state if type(key) is str}
    if len(names) < len(state) and not names.isdisjoint(MARKERS.values()):
        raise ConversionError(
            f"{name}: expected names of parameters as the keys of a state dict, found others"
        )
    if len(names) > _MAX_NAMES:
        raise ConversionError(f"{name}: expected at most {_MAX_NAMES} arrays, found {len(names)}")
    for kind, marker in MARKERS.items():
        prefixes = [key.removesuffix(marker) for key in names if key == marker or key.endswith(f".{marker}")]
        if prefixes:
            prefix = _choose(sorted(prefixes), name)
            below = {key[len(prefix) :]: state[key] for key in state if _is_below(key, prefix)}
            return Found(kind, below, prefix)
    return None


def _is_below(key: Any, prefix: str) -> bool:
    return type(key) is str and key.startswith(prefix)


def _choose(prefixes: list[str], name: str) -> str:
    preferred = [prefix for prefix in _PREFIXES if prefix in prefixes]
    if preferred or len(prefixes) == 1:
        return preferred[0] if preferred else prefixes[0]
    listed = ", ".join(shorten(prefix) for prefix in prefixes[:3])
    raise ConversionError(f"{name}: expected one generator, found several, below {listed}")
