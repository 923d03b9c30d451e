"""The shape of a MobileStyleGAN."""

import dataclasses

from jaxedit.errors import InputError


@dataclasses.dataclass(frozen=True)
class MobileStyleGANConfig:
    """The shape of a MobileStyleGAN.

    Attributes:
        z_dim: width of the input latent.
        w_dim: width of the intermediate latent.
        mapping_layers: layers of the mapping network.
        resolution: height and width of the image, 8 · 2^blocks.
        channels: of the constant and its convolution, then of each block; a block's upsampling quarters them.
    """

    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    resolution: int = 1024
    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128, 64)

    def __post_init__(self) -> None:
        if self.resolution != 8 * 2 ** (len(self.channels) - 1):
            raise InputError(
                f"resolution: expected {8 * 2 ** (len(self.channels) - 1)} for {len(self.channels) - 1} blocks, "
                f"got {self.resolution}"
            )

    @property
    def num_ws(self) -> int:
        """The first convolution, two for each block, the head."""
        return 2 * len(self.channels)
