"""Settings of a projection, and the encoder that goes with them, from the options of a command."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxedit.generators.protocol import Generator
    from jaxedit.inversion.config import ProjectionConfig
    from jaxedit.inversion.encoder import Encoder


def projection_of(
    preset: str | None,
    num_steps: int | None,
    *,
    generator: "Generator",
    generator_name: str,
    encoder: str | None = None,
    seed: int = 0,
) -> "tuple[ProjectionConfig, Encoder | None]":
    """Settings by the name of a preset, and the encoder if they need one.

    Args:
        preset: its name; None for that of the device.
        num_steps: number of steps instead of the preset's.
        generator: renders the latents.
        generator_name: its registered name or folder.
        encoder: folder of an encoder; None for that of a known generator.
        seed: of the projection.

    Raises:
        InputError: if a setting is out of range, or the encoder is missing where it is needed, is of another generator,
            or is given where it is not needed.
        CheckpointError: if the folder of the encoder is damaged or holds something else.
    """
    from jaxedit.errors import InputError
    from jaxedit.inversion.presets import preset as preset_of
    from jaxedit.pretrained.encoders import load_encoder
    from jaxedit.pretrained.known_generators import KNOWN_GENERATORS

    has_encoder = encoder is not None or generator_name in KNOWN_GENERATORS
    config = preset_of(preset, num_steps=num_steps, seed=seed, has_encoder=has_encoder)
    if not config.encoder_passes:
        if encoder is not None:
            raise InputError(
                "--encoder: expected with the presets instant, quick and fine, which start from its latent"
            )
        return config, None
    return config, load_encoder(encoder or generator_name, generator)
