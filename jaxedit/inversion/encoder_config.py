"""Settings of an encoder and of its training."""

import dataclasses

from jaxedit.errors import InputError

NUM_ALEXNET_FEATURES = 192 + 384 + 256
"""Channels of the second, third and fifth convolution of AlexNet together."""


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """The shape of an encoder.

    Attributes:
        num_ws: number of layers of W+.
        w_dim: width of W.
        side: pixels a side of the images that it sees; larger ones are shrunk.
        num_features: number of principal components of AlexNet's channels that each place of the grid keeps.
        num_channels: number of channels of the first layer of the head.
        num_hidden: width of the hidden layers.
        num_components: number of principal components of W in which each layer may differ from the shared part.

    Raises:
        InputError: if a number is out of range.
    """

    num_ws: int
    w_dim: int
    side: int = 160
    num_features: int = 256
    num_channels: int = 64
    num_hidden: int = 512
    num_components: int = 96

    def __post_init__(self) -> None:
        for name in ("num_ws", "w_dim", "num_features", "num_channels", "num_hidden", "num_components"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if self.side < 64:
            raise InputError(f"side: expected 64 or more, got {self.side}")
        if self.num_features > NUM_ALEXNET_FEATURES:
            raise InputError(
                f"num_features: expected at most {NUM_ALEXNET_FEATURES}, got {self.num_features}"
            )
        if self.num_components > self.w_dim:
            raise InputError(
                f"num_components: expected at most w_dim = {self.w_dim}, got {self.num_components}"
            )

    @property
    def grid(self) -> int:
        """Rows and columns of the features."""
        return ((((self.side + 4 - 11) // 4 + 1) - 1) // 2 - 1) // 2


@dataclasses.dataclass(frozen=True)
class EncoderTrainingConfig:
    """Settings of `train_encoder`.

    Attributes:
        num_latents: number of latents whose images are rendered and learned from.
        num_versions: of each image: itself, and versions with the light, blur, noise, compression and occlusion of
            photographs.
        num_passes: 1 for an encoder that sees each image once; 2 also teaches it to look at the image of its first
            latent and go on from there, as often as one likes. This renders as many images again.
        num_steps: number of Adam steps for each of the passes.
        batch_size: pairs of a step.
        learning_rate: its highest value, from which it falls along a cosine.
        weight_decay: of AdamW, relative to the learning rate.
        num_probes: number of derivatives of LPIPS that tell which changes of a latent are seen; 0 counts all alike.
        render_batch_size: images rendered at once: 4 suits a CPU, 32 an accelerator.
        unit_size: latents of a unit of work. An interrupted run loses one at most.
        num_w_samples: number of latents that mean and PCA of W are measured with.
        side: as in `EncoderConfig`; so are the next four.
        seed: of latents, augmentation and weights, 0 … 2³² − 1.

    Raises:
        InputError: if a setting is out of range.
    """

    num_latents: int = 16_384
    num_versions: int = 3
    num_passes: int = 2
    num_steps: int = 6000
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    num_probes: int = 768
    render_batch_size: int = 4
    unit_size: int = 64
    num_w_samples: int = 10_000
    side: int = 160
    num_features: int = 256
    num_channels: int = 64
    num_hidden: int = 512
    num_components: int = 96
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in {
            "num_latents": 16,
            "num_versions": 1,
            "num_steps": 1,
            "batch_size": 1,
            "num_probes": 0,
            "render_batch_size": 1,
            "unit_size": 1,
            "num_w_samples": 16,
        }.items():
            if getattr(self, name) < least:
                raise InputError(f"{name}: expected {least} or more, got {getattr(self, name)}")
        if self.num_passes not in (1, 2):
            raise InputError(f"num_passes: expected 1 or 2, got {self.num_passes}")
        if self.learning_rate <= 0 or self.weight_decay < 0:
            raise InputError(
                "learning_rate and weight_decay: expected a number above 0 and one of at least 0, got "
                f"{self.learning_rate} and {self.weight_decay}"
            )
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed: expected 0…{2**32 - 1}, got {self.seed}")

    def shape(self, num_ws: int, w_dim: int) -> EncoderConfig:
        """The shape of an encoder of a generator. Narrow latents have fewer components.

        Raises:
            InputError: if a number is out of range.
        """
        return EncoderConfig(
            num_ws=num_ws,
            w_dim=w_dim,
            side=self.side,
            num_features=self.num_features,
            num_channels=self.num_channels,
            num_hidden=self.num_hidden,
            num_components=min(self.num_components, w_dim),
        )
