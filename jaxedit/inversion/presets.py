"""Settings by name, and the default settings of the device."""

import dataclasses

import jax

from jaxedit.errors import InputError
from jaxedit.inversion.config import ProjectionConfig, TuningConfig


def preset(name: str | None, *, num_steps: int | None = None, seed: int = 0) -> ProjectionConfig:
    """Projection settings by name.

    Args:
        name: "fast", "quality" or "official"; None for "fast" on a CPU and "quality" elsewhere.
        num_steps: number of steps instead of the preset's; the share of the steps in W stays the same.
        seed: seed of the projection, 0 … 2³² − 1.

    Raises:
        InputError: if the name is unknown, or a number is out of range.
    """
    name = name or _default()
    presets = {
        "fast": ProjectionConfig.fast,
        "quality": ProjectionConfig.quality,
        "official": ProjectionConfig.official,
    }
    if name not in presets:
        raise InputError(f"preset: expected one of {', '.join(presets)}, got {name!r}")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed: expected 0…{2**32 - 1}, got {seed}")
    config = presets[name](seed=seed)
    if num_steps is None or num_steps == config.num_steps:
        return config
    in_w = round(config.num_w_steps / config.num_steps * max(num_steps, 0))
    return dataclasses.replace(config, num_steps=num_steps, num_w_steps=in_w)


def tuning_preset(name: str | None, *, seed: int = 0) -> TuningConfig:
    """Tuning settings that go with a projection preset."""
    return TuningConfig.fast(seed=seed) if (name or _default()) == "fast" else TuningConfig(seed=seed)


def _default() -> str:
    return "fast" if jax.default_backend() == "cpu" else "quality"
