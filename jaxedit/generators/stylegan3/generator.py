"""StyleGAN3, T (translation) and R (rotation).

Karras et al., *Alias-Free Generative Adversarial Networks*, NeurIPS 2021 (arXiv 2106.12423). Fourier features, which a
latent rotates and shifts, go through modulated convolutions, each followed by a leaky ReLU between an upsampling and a
downsampling filter. There is no noise. The layers of R have 1×1 kernels, twice the channels and radial filters.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, DTypeLike, Float

from jaxedit.errors import InputError
from jaxedit.generators.mapping import MappedGenerator, MappingNetwork
from jaxedit.generators.protocol import broadcast_w, check_latents, has_explicit_sharding
from jaxedit.generators.stylegan3.config import StyleGAN3Config
from jaxedit.generators.stylegan3.layers import FourierFeatures, Layer, ToRGB
from jaxedit.nn.parameters import Buffer, Params
from jaxedit.nn.platform_branch import platform_branch


class StyleGAN3(MappedGenerator):
    """The generator: `mapping` from z to w, `synthesis` from w or w_plus to images.

    Args:
        config: its shape.
        params: nested dict with the names of the modules, as `weights_conversion` gives them.
        dtype: in which the layers of the highest sampling rates compute, float32 or bfloat16. Weights, styles, W, the
            other layers and the image stay float32.
        num_bfloat16_res: the number of octaves of these sampling rates; four in the official mixed precision.

    Derivatives are those of reverse mode (`jax.grad`, `jax.vjp`, `jax.jacrev`).
    """

    family = "stylegan3"

    def __init__(
        self,
        config: StyleGAN3Config,
        params: Params,
        *,
        dtype: DTypeLike = jnp.float32,
        num_bfloat16_res: int = 4,
    ) -> None:
        self.config = config
        self.dtype = jnp.dtype(dtype)
        self.num_bfloat16_res = num_bfloat16_res
        self.mapping_network = MappingNetwork(params["mapping_network"])
        self.w_avg = Buffer(jnp.asarray(params["w_avg"]))
        self.fourier_features = FourierFeatures(params["fourier_features"])
        self.layers = nnx.List([Layer(params["layers"][str(i)]) for i in range(len(config.channels))])
        self.to_rgb = ToRGB(params["to_rgb"])

    def synthesis(
        self,
        w: Float[Array | np.ndarray, "batch w_dim"] | Float[Array | np.ndarray, "batch num_ws w_dim"],
        *,
        transform: Float[Array | np.ndarray, "*images 3 3"] | None = None,
    ) -> Float[Array, "batch resolution resolution 3"]:
        """Latents ↦ images.

        Args:
            w: latents of W or W+, float32.
            transform: inverse of a rotation and shift of the image, [3, 3] or one for each image, in homogeneous
                coordinates (x, y, 1) with the origin in the center and sides of length 1. By default the generator's
                own, usually the identity.

        Returns:
            RGB, float32, nominally in [-1, 1]: the network overshoots a little, and `to_uint8` clips.

        Raises:
            InputError: if an argument has another shape.
        """
        check_latents("w", w, width=self.w_dim, num_ws=self.num_ws)
        if transform is not None and transform.shape not in ((3, 3), (w.shape[0], 3, 3)):
            raise InputError(
                f"transform: expected shape [3, 3] or [{w.shape[0]}, 3, 3], got {list(transform.shape)}"
            )
        return self._synthesis(jnp.asarray(w), None if transform is None else jnp.asarray(transform))

    @jax.jit
    def _synthesis(
        self,
        w: Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"],
        transform: Float[Array, "*batch 3 3"] | None,
    ) -> Float[Array, "batch resolution resolution 3"]:
        w_plus = broadcast_w(w, self.num_ws)
        if transform is None:
            transform = self.fourier_features.transform[...]
        transform = jnp.broadcast_to(transform, (w_plus.shape[0], 3, 3))
        if has_explicit_sharding(
            w_plus
        ):  # one image after the other would gather what is spread over devices
            return _synthesis_in_parallel(self, w_plus, transform)
        return platform_branch(
            self, w_plus, transform, cpu=_synthesis_in_sequence, default=_synthesis_in_parallel
        )


def _dtypes(generator: StyleGAN3) -> list[np.dtype]:
    """In which each layer computes."""
    config = generator.config
    octaves = 2**generator.num_bfloat16_res
    return [
        generator.dtype if rate * octaves > config.resolution else jnp.dtype(jnp.float32)
        for rate in config.sampling_rates
    ]


def _synthesis_in_parallel(
    generator: StyleGAN3, w_plus: Float[Array, "batch num_ws w_dim"], transform: Float[Array, "batch 3 3"]
) -> Float[Array, "batch resolution resolution 3"]:
    """The batch at once: for devices with many cores and fast memory."""
    config = generator.config
    x = generator.fourier_features(
        w_plus[:, 0],
        transform,
        size=config.sizes[0],
        rate=config.sampling_rates[0],
        bandwidth=config.bandwidth,
    )
    dtypes = _dtypes(generator)
    for i, (layer, spec) in enumerate(zip(generator.layers, config.resamplings, strict=True)):
        x = layer(x.astype(dtypes[i]), w_plus[:, i + 1], spec)
    image = generator.to_rgb(x, w_plus[:, -1], clamp=config.conv_clamp)
    return image.astype(jnp.float32) * config.output_scale


@jax.custom_jvp
def _synthesis_in_sequence(
    generator: StyleGAN3, w_plus: Float[Array, "batch num_ws w_dim"], transform: Float[Array, "batch 3 3"]
) -> Float[Array, "batch resolution resolution 3"]:
    """Image after image, so that the memory of one serves the next: for a CPU."""
    if w_plus.shape[0] == 1:
        return _synthesis_in_parallel(generator, w_plus, transform)

    def one(inputs: tuple[Array, Array]) -> Array:
        w_plus, transform = inputs
        return _synthesis_in_parallel(generator, w_plus[None], transform[None])[0]

    return jax.lax.map(one, (w_plus, transform))


@_synthesis_in_sequence.defjvp
def _differentiate_at_once(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """Derivatives of the batch at once: a loop would copy everything that it must remember."""
    return jax.jvp(_synthesis_in_parallel, primals, tangents)
