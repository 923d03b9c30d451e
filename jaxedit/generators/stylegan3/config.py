"""The shape of a StyleGAN3."""

import dataclasses
import itertools

from jaxedit.errors import InputError
from jaxedit.generators.stylegan3.filtered_lrelu import Resampling


@dataclasses.dataclass(frozen=True)
class StyleGAN3Config:
    """The shape of a StyleGAN3, T or R. The filters are arrays of the generator.

    Attributes:
        z_dim: width of the input latent.
        c_dim: number of classes; 0 for an unconditional generator.
        w_dim: width of the intermediate latent.
        mapping_layers: layers of the mapping network.
        resolution: height and width of the image.
        channels: of the layers. The Fourier features have as many as the first layer.
        sampling_rates: of the layers, in pixels a side without the margin. None is below the one before.
        margin_size: pixels around the image in all layers but the last.
        bandwidth: largest frequency of the Fourier features, in periods a side.
        conv_kernel: height and width of the kernels: 3 in T, 1 in R.
        filter_size: taps of a filter, relative to its factor.
        lrelu_upsampling: sampling rate of the activations, relative to the higher one of input and output.
        conv_clamp: layers clip their output to ± this; None for no limit.
        output_scale: factor of the image.
    """

    z_dim: int = 512
    c_dim: int = 0
    w_dim: int = 512
    mapping_layers: int = 2
    resolution: int = 256
    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 512, 512, 362, 256, 181, 128, 91, 64, 64)
    sampling_rates: tuple[int, ...] = (16, 16, 16, 32, 32, 64, 64, 128, 128, 128, 256, 256, 256, 256)
    margin_size: int = 10
    bandwidth: float = 2.0
    conv_kernel: int = 3
    filter_size: int = 6
    lrelu_upsampling: int = 2
    conv_clamp: float | None = 256.0
    output_scale: float = 0.25

    def __post_init__(self) -> None:
        rates = self.sampling_rates
        if not self.channels or len(self.channels) != len(rates):
            raise InputError(
                f"channels: expected one number for each of {len(rates)} sampling rates, got {len(self.channels)}"
            )
        if rates[-1] != self.resolution or any(after % before for before, after in itertools.pairwise(rates)):
            raise InputError(
                f"sampling_rates: expected multiples of those before up to {self.resolution}, got {list(rates)}"
            )
        if self.conv_kernel not in (1, 3):
            raise InputError(f"conv_kernel: expected 1 or 3, got {self.conv_kernel}")

    @property
    def num_ws(self) -> int:
        """One latent for the Fourier features, one for each layer, one for the layer to RGB."""
        return len(self.channels) + 2

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels a side of the Fourier features and of each layer's output."""
        around = 2 * self.margin_size
        rates = self.sampling_rates
        return (rates[0] + around, *(rate + around for rate in rates[:-1]), self.resolution)

    @property
    def resamplings(self) -> tuple[Resampling, ...]:
        """What the filtered leaky ReLU of each layer does.

        Its padding centers the result over the input: Karras et al. 2021, appendix C.3.
        """
        result = []
        for i, rate in enumerate(self.sampling_rates):
            before = self.sampling_rates[max(i - 1, 0)]
            up, down = self.lrelu_upsampling * rate // before, self.lrelu_upsampling
            up_taps, down_taps = self.taps(i)
            after_conv = self.sizes[i] + self.conv_kernel - 1
            total = (self.sizes[i + 1] - 1) * down + 1 - after_conv * up + up_taps + down_taps - 2
            padding = (total + up) // 2
            result.append(Resampling(up, down, padding, self.sizes[i + 1], clamp=self.conv_clamp))
        return tuple(result)

    def taps(self, layer: int) -> tuple[int, int]:
        """Taps of a layer's upsampling and downsampling filters; 1 where a factor is 1."""
        up = self.lrelu_upsampling * self.sampling_rates[layer] // self.sampling_rates[max(layer - 1, 0)]
        down = self.lrelu_upsampling
        return (self.filter_size * up if up > 1 else 1, self.filter_size * down if down > 1 else 1)
