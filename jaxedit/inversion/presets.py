"""Settings by name, and the default settings of the device."""

import dataclasses

import jax

from jaxedit.errors import InputError
from jaxedit.inversion.config import ProjectionConfig, TuningConfig

PRESETS = ("instant", "quick", "fine", "fast", "quality", "official")
"""Names of the settings of a projection."""

_FROM_ENCODER = ("instant", "quick", "fine")


def preset(
    name: str | None, *, num_steps: int | None = None, seed: int = 0, has_encoder: bool = False
) -> ProjectionConfig:
    """Projection settings by name.

    Args:
        name: "instant" (an encoder alone), "quick" (24 steps from an encoder's latent), "fine" (the same, before
            a tuning), "fast" (200 steps from the mean of W), "quality" or "official"; None for "fast" on a CPU and
            "quality" elsewhere.
        num_steps: number of steps instead of the preset's; the share of the steps in W stays the same.
        seed: seed of the projection, 0 … 2³² − 1.
        has_encoder: whether the generator has an encoder.

    Raises:
        InputError: if the name is unknown, a number is out of range, or the preset needs an encoder.
    """
    name = name or _default()
    if name not in PRESETS:
        raise InputError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed: expected 0…{2**32 - 1}, got {seed}")
    if name in _FROM_ENCODER and not has_encoder:
        raise InputError(
            f"preset: {name} needs an encoder, and none ships for this generator; `jaxedit train-encoder` makes one "
            "for --encoder"
        )
    if name == "instant":
        if num_steps:
            raise InputError(f"num_steps: expected none with the preset instant, got {num_steps}")
        return ProjectionConfig.instant(seed=seed)
    presets = {
        "quick": ProjectionConfig.quick,
        "fine": ProjectionConfig.quick,
        "fast": ProjectionConfig.fast,
        "quality": ProjectionConfig.quality,
        "official": ProjectionConfig.official,
    }
    config = presets[name](seed=seed)
    if num_steps is None or num_steps == config.num_steps:
        return config
    in_w = round(config.num_w_steps / config.num_steps * max(num_steps, 0))
    return dataclasses.replace(config, num_steps=num_steps, num_w_steps=in_w)


def tuning_of(name: str | None, *, is_asked: bool = False, seed: int = 0) -> TuningConfig | None:
    """The tuning after a projection by a preset; None for none.

    Args:
        name: the preset; None for that of the device. "fine" always tunes.
        is_asked: whether a tuning is asked for besides.
        seed: of the tuning.
    """
    if name == "fine":
        return TuningConfig.fine(seed=seed)
    if not is_asked:
        return None
    is_fast = (name or _default()) in ("instant", "quick", "fast")
    return TuningConfig.fast(seed=seed) if is_fast else TuningConfig(seed=seed)


def _default() -> str:
    return "fast" if jax.default_backend() == "cpu" else "quality"
