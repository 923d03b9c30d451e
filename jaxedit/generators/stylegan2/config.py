"""The shape of a StyleGAN2."""

import dataclasses
from typing import Any, Literal

from jaxedit.errors import InputError

Architecture = Literal["skip", "resnet", "orig"]


@dataclasses.dataclass(frozen=True)
class StyleGAN2Config:
    """The shape of a StyleGAN2.

    Attributes:
        z_dim: width of the input latent.
        c_dim: number of classes; 0 for an unconditional generator.
        w_dim: width of the intermediate latent.
        mapping_layers: layers of the mapping network.
        resolution: height and width of the image, 4 · 2^n; of one that is not square, the longer side.
        channels: of the blocks at 4, 8, …, `resolution`.
        architecture: `skip`, `resnet` or `orig`.
        conv_clamp: the official option of this name: layers clip their output to ± this (times their gain).
        image_channels: of the image: 1 (gray), 2, 3 (RGB) or 4 (RGBA).
        constant_size: height and width of the constant; each block doubles both. A (2, 4) with the blocks of 1024²
            makes images of 512 × 1024.
    """

    z_dim: int = 512
    c_dim: int = 0
    w_dim: int = 512
    mapping_layers: int = 8
    resolution: int = 1024
    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128, 64, 32)
    architecture: Architecture = "skip"
    conv_clamp: float | None = None
    image_channels: int = 3
    constant_size: tuple[int, int] = (4, 4)

    def __post_init__(self) -> None:
        if self.architecture not in ("skip", "resnet", "orig"):
            raise InputError(f"architecture: expected skip, resnet or orig, got {self.architecture!r}")
        if not 1 <= self.image_channels <= 4:
            raise InputError(f"image_channels: expected 1 to 4, got {self.image_channels}")
        if len(self.constant_size) != 2 or min(self.constant_size) < 1:
            raise InputError(f"constant_size: expected two positive numbers, got {self.constant_size}")
        longer = max(self.constant_size)
        if not self.channels or self.resolution != longer * 2 ** (len(self.channels) - 1):
            raise InputError(
                f"resolution: expected {longer} · 2^n for n + 1 channels, got {self.resolution} and "
                f"{len(self.channels)} channels"
            )

    @classmethod
    def of_size(
        cls, resolution: int, *, channel_base: int = 32768, channel_max: int = 512, **others: Any
    ) -> "StyleGAN2Config":
        """The official rule: min(channel_base / resolution, channel_max) channels at each resolution."""
        if resolution < 4 or resolution & (resolution - 1):
            raise InputError(f"resolution: expected a power of two from 4, got {resolution}")
        sizes = [4 * 2**i for i in range(resolution.bit_length() - 2)]
        channels = tuple(min(channel_base // size, channel_max) for size in sizes)
        return cls(resolution=resolution, channels=channels, **others)

    @property
    def num_ws(self) -> int:
        """The first block takes two latents, each later one two more."""
        return 2 * len(self.channels)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the image."""
        scale = 2 ** (len(self.channels) - 1)
        return self.constant_size[0] * scale, self.constant_size[1] * scale

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        """4, 8, …: the resolutions by which the layers are named, those of a square image."""
        return tuple(4 * 2**i for i in range(len(self.channels)))
