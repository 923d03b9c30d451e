"""The official design of a StyleGAN3, and random weights for it: for tests, benchmarks and training."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from jaxedit.generators.stylegan3.config import StyleGAN3Config
from weights_conversion.models.stylegan3.filters import separable_terms


@dataclasses.dataclass(frozen=True)
class StyleGAN3Design:
    """The options from which a StyleGAN3 is designed: Karras et al. 2021, appendix C.

    Attributes:
        resolution: height and width of the image, a power of two.
        channel_base: channels of a layer times twice its cutoff frequency.
        channel_max: most channels of a layer.
        num_layers: layers between the Fourier features and the layer to RGB.
        num_critical: layers at the end whose cutoff is the highest that the image can hold.
        first_cutoff: cutoff frequency of the first layer, in periods a side.
        first_stopband: frequency from which the first layer lets nothing through.
        last_stopband_rel: the same of the last layer, relative to its cutoff.
        margin_size: pixels around the image.
        conv_kernel: height and width of the kernels.
        filter_size: taps of a filter, relative to its factor.
        lrelu_upsampling: sampling rate of the activations, relative to the higher one of input and output.
        radial: whether the downsampling filters are radial, but for the critical layers.
    """

    resolution: int = 256
    channel_base: int = 32768
    channel_max: int = 512
    num_layers: int = 14
    num_critical: int = 2
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband_rel: float = 2**0.3
    margin_size: int = 10
    conv_kernel: int = 3
    filter_size: int = 6
    lrelu_upsampling: int = 2
    radial: bool = False

    @classmethod
    def rotation(
        cls, resolution: int = 256, *, channel_base: int = 32768, channel_max: int = 512, **others: Any
    ) -> "StyleGAN3Design":
        """StyleGAN3-R: 1×1 kernels, twice the channels, radial filters."""
        shape = {"channel_base": 2 * channel_base, "channel_max": 2 * channel_max}
        return cls(resolution, **shape, conv_kernel=1, radial=True, **others)

    def _progression(self, first: float, last: float) -> np.ndarray:
        steps = np.arange(self.num_layers + 1) / (self.num_layers - self.num_critical)
        return first * (last / first) ** np.minimum(steps, 1)

    @property
    def cutoffs(self) -> np.ndarray:
        """Cutoff frequency of each layer and of the layer to RGB."""
        return self._progression(self.first_cutoff, self.resolution / 2)

    @property
    def _stopbands(self) -> np.ndarray:
        return self._progression(self.first_stopband, self.resolution / 2 * self.last_stopband_rel)

    @property
    def sampling_rates(self) -> np.ndarray:
        """Pixels a side of each layer and of the layer to RGB, without the margin."""
        return np.exp2(np.ceil(np.log2(np.minimum(2 * self._stopbands, self.resolution)))).astype(int)

    @property
    def half_widths(self) -> np.ndarray:
        """Half the width of each transition band."""
        return np.maximum(self._stopbands, self.sampling_rates / 2) - self.cutoffs

    def config(self, **sizes: Any) -> StyleGAN3Config:
        """The config; `sizes` are those of the latents (`z_dim`, `c_dim`, `w_dim`, `mapping_layers`)."""
        channels = np.rint(np.minimum(self.channel_base / 2 / self.cutoffs, self.channel_max)).astype(int)
        return StyleGAN3Config(
            resolution=self.resolution,
            channels=tuple(channels[:-1].tolist()),
            sampling_rates=tuple(self.sampling_rates[:-1].tolist()),
            margin_size=self.margin_size,
            bandwidth=float(self.first_cutoff),
            conv_kernel=self.conv_kernel,
            filter_size=self.filter_size,
            lrelu_upsampling=self.lrelu_upsampling,
            **sizes,
        )

    def filters(
        self, layer: int
    ) -> tuple[Float[np.ndarray, " up_taps"], Float[np.ndarray, "rank 2 down_taps"]]:
        """The upsampling and the downsampling filter of a layer, float32."""
        before = max(layer - 1, 0)
        cutoffs, widths, rates = self.cutoffs, self.half_widths, self.sampling_rates
        rate = float(rates[layer] * self.lrelu_upsampling)
        up_taps, down_taps = self.config().taps(layer)
        up = lowpass(up_taps, cutoffs[before], 2 * widths[before], rate)
        is_radial = self.radial and layer < self.num_layers - self.num_critical
        if is_radial and down_taps > 1:
            down = separable_terms(radial_lowpass(down_taps, cutoffs[layer], 2 * widths[layer], rate))
        else:
            taps = lowpass(down_taps, cutoffs[layer], 2 * widths[layer], rate)
            down = np.stack([taps, taps])[None]
        return up.astype(np.float32), down.astype(np.float32)


def _kaiser(taps: int, width: float, rate: float) -> np.ndarray:
    """The Kaiser window for a transition band: Oppenheim and Schafer, *Discrete-Time Signal Processing*."""
    attenuation = 2.285 * (taps - 1) * np.pi * width / (rate / 2) + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    elif attenuation > 21:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    else:
        beta = 0.0
    return np.kaiser(taps, beta)


def lowpass(taps: int, cutoff: float, width: float, rate: float) -> Float[np.ndarray, " taps"]:
    """A low-pass filter: a sinc under a Kaiser window, with the sum 1.

    Args:
        taps: number of taps; 1 for the identity.
        cutoff: cutoff frequency.
        width: of the transition band.
        rate: sampling rate, in the unit of the frequencies.
    """
    if taps == 1:
        return np.ones(1)
    x = np.arange(taps) - (taps - 1) / 2
    impulse_response = np.sinc(2 * cutoff / rate * x) * _kaiser(taps, width, rate)
    return impulse_response / impulse_response.sum()


def radial_lowpass(taps: int, cutoff: float, width: float, rate: float) -> Float[np.ndarray, "taps taps"]:
    """A radially symmetric low-pass filter: a jinc under a Kaiser window; arguments as those of `lowpass`."""
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    r = np.hypot(x, x[:, None])
    window = _kaiser(taps, width, rate)
    filter_ = _bessel_j1(2 * np.pi * cutoff * r) / (np.pi * r) * np.outer(window, window)
    return filter_ / filter_.sum()


def _bessel_j1(x: np.ndarray) -> np.ndarray:
    """J₁(x), the mean of cos(τ − x sin τ) over a turn. The trapezoidal rule is exact for smooth periodic functions."""
    tau = np.arange(256) * (2 * np.pi / 256)
    return np.mean(np.cos(tau - x[..., None] * np.sin(tau)), axis=-1)


def initial_params(design: StyleGAN3Design, config: StyleGAN3Config, key: Key[Array, ""]) -> dict[str, Any]:
    """Weights N(0, 1) with their equalized-learning-rate gain folded in, biases 0 (of styles 1), w_avg 0.

    Args:
        design: the filters.
        config: the shape; `design.config(…)`.
        key: of the random numbers.

    Returns:
        A nested dict of float32 arrays, as `StyleGAN3` takes it.
    """
    seed = np.asarray(jax.random.bits(key, (4,)))
    random = np.random.RandomState(seed.tolist())

    def normal(*shape: int, gain: float = 1.0) -> np.ndarray:
        return (random.standard_normal(shape) * gain).astype(np.float32)

    def affine(inner: int, outer: int, bias: float = 0.0) -> dict[str, np.ndarray]:
        weight = normal(inner, outer, gain=1 / math.sqrt(inner))
        return {"weight": weight, "bias": np.full(outer, bias, np.float32)}

    embedded = config.w_dim if config.c_dim else 0
    widths = [config.z_dim + embedded] + [config.w_dim] * config.mapping_layers
    mapping: dict[str, Any] = {
        "layers": {str(i): affine(widths[i], widths[i + 1]) for i in range(config.mapping_layers)}
    }
    if config.c_dim:
        mapping["embed"] = affine(config.c_dim, embedded)
    count = config.channels[0]
    frequencies = normal(count, 2)
    radii = np.sqrt(np.sum(frequencies**2, axis=1, keepdims=True))
    frequencies *= config.bandwidth / (radii * np.exp(radii**2) ** 0.25)  # uniform over a disk
    layers = {}
    for i, outer in enumerate(config.channels):
        inner = config.channels[max(i - 1, 0)]
        weight = normal(config.conv_kernel, config.conv_kernel, inner, outer)
        up, down = design.filters(i)
        layers[str(i)] = {
            "affine": affine(config.w_dim, inner, 1.0),
            "weight": weight / np.sqrt(np.mean(weight**2, axis=(0, 1, 2))),
            "bias": np.zeros(outer, np.float32),
            "input_gain": np.ones((), np.float32),
            "up_filter": up,
            "down_filter": down,
        }
    last = config.channels[-1]
    params = {
        "mapping_network": mapping,
        "w_avg": np.zeros(config.w_dim, np.float32),
        "fourier_features": {
            "affine": {
                "weight": np.zeros((config.w_dim, 4), np.float32),
                "bias": np.eye(4, dtype=np.float32)[0],
            },
            "frequencies": frequencies,
            "phases": random.uniform(-0.5, 0.5, count).astype(np.float32),
            "transform": np.eye(3, dtype=np.float32),
            "weight": normal(count, count, gain=1 / math.sqrt(count)),
        },
        "layers": layers,
        "to_rgb": {
            "affine": affine(config.w_dim, last, 1.0),
            "weight": normal(last, 3, gain=1 / math.sqrt(last)),
            "bias": np.zeros(3, np.float32),
        },
    }
    return jax.tree.map(jnp.asarray, params)
