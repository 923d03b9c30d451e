"""MobileStyleGAN: a StyleGAN2 generator distilled into separable convolutions and wavelets.

Belousov, *MobileStyleGAN: A Lightweight Convolutional Neural Network for High-Fidelity Image Synthesis*,
arXiv 2104.04767. Each block doubles the resolution by an inverse Haar transform and applies two depthwise-separable
convolutions; modulation scales the input channels, and the demodulation of StyleGAN2 is a constant that training
folded into the weights. One 1×1 head predicts the Haar bands of the image.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, DTypeLike, Float

from jaxedit.generators.in_places import Stages, checked_stages, last_image, run_in_places
from jaxedit.generators.mapping import MappedGenerator, MappingNetwork
from jaxedit.generators.mobile_stylegan.blocks import Block, InputConv, run_block, run_block_in_stripes
from jaxedit.generators.mobile_stylegan.config import MobileStyleGANConfig
from jaxedit.generators.protocol import broadcast_w, check_latents, has_explicit_sharding
from jaxedit.nn.parameters import Buffer, Params
from jaxedit.nn.platform_branch import platform_branch


class MobileStyleGAN(MappedGenerator):
    """The generator: `mapping` from z to w, `synthesis` from w or w_plus to images.

    Args:
        config: its shape.
        params: nested dict with the names of the modules, as `weights_conversion.models.mobile_stylegan` gives them.
        dtype: in which the synthesis network computes, float32 or bfloat16. Weights, styles, W and the image stay
            float32.
    """

    family = "mobile-stylegan"

    def __init__(
        self, config: MobileStyleGANConfig, params: Params, *, dtype: DTypeLike = jnp.float32
    ) -> None:
        self.config = config
        self.dtype = jnp.dtype(dtype)
        self.mapping_network = MappingNetwork(params["mapping_network"])
        self.w_avg = Buffer(jnp.asarray(params["w_avg"]))
        self.input_conv = InputConv(params["input_conv"])
        self.blocks = nnx.List([Block(params["blocks"][str(i)]) for i in range(len(config.channels) - 1)])

    def synthesis(
        self, w: Float[Array | np.ndarray, "batch w_dim"] | Float[Array | np.ndarray, "batch num_ws w_dim"]
    ) -> Float[Array, "batch resolution resolution 3"]:
        """Latents ↦ images.

        Args:
            w: latents of W or W+, float32.

        Returns:
            RGB, float32, nominally in [-1, 1]: the network overshoots a little (to about ±1.7), and `to_uint8` clips.

        Raises:
            InputError: if w has another shape.
        """
        check_latents("w", w, width=self.w_dim, num_ws=self.num_ws)
        return self._synthesis(jnp.asarray(w))

    @jax.jit
    def _synthesis(
        self, w: Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]
    ) -> Float[Array, "batch resolution resolution 3"]:
        w_plus = broadcast_w(w, self.num_ws)
        if has_explicit_sharding(
            w_plus
        ):  # one image after the other would gather what is spread over devices
            return _synthesis_in_parallel(self, w_plus).astype(jnp.float32)
        return platform_branch(
            self, w_plus, cpu=_synthesis_in_sequence, default=_synthesis_in_parallel
        ).astype(jnp.float32)

    def synthesis_in_places(
        self,
        stages: Sequence[Float[Array | np.ndarray, "_ w_dim"] | Float[Array | np.ndarray, "_ num_ws w_dim"]],
        places: Sequence[Float[Array | np.ndarray, "_ _ _"]],
        colors: Sequence[Float[Array | np.ndarray, "_ _ _"]] | None = None,
    ) -> Float[Array, "batch resolution resolution 3"]:
        """One image of several latents, each at its own place: see `jaxedit.generators.in_places`.

        Args:
            stages: latents of W or W+, the unedited ones first.
            places: for each further stage, where it shows instead of the stage before, 0…1.
            colors: for each further stage, the part of its place that it colors. None: all of it.

        Raises:
            InputError: if there are not places and colors for each further stage, or a shape is wrong.
        """
        return self._in_places(checked_stages(self, stages, places, colors))

    @jax.jit
    def _in_places(self, stages: Stages) -> Float[Array, "batch resolution resolution 3"]:
        return platform_branch(
            self,
            stages,
            cpu=partial(_in_places, run_block_in_stripes, jax.lax.map),
            default=partial(_in_places, run_block, lambda one, inputs: jax.vmap(one)(inputs)),
        ).astype(jnp.float32)


def _in_places(
    run: Callable[..., Array],
    over_batch: Callable[..., Array],
    generator: MobileStyleGAN,
    stages: Stages,
) -> Float[Array, "batch resolution resolution 3"]:
    """All stages through one block after the other.

    Args:
        run: a block for one image.
        over_batch: calls a function for each image of a batch.
        generator: its blocks.
        stages: latents and masks.
    """
    latents, *masks = stages

    def one(inputs: tuple[list[tuple[Array, list[dict[str, Array]]]], tuple[Any, Any]]) -> Array:
        features, (places, colors) = inputs
        xs = [x for x, _ in features]
        for i, block in enumerate(generator.blocks):
            styles = [own[i] for _, own in features]
            xs = run_in_places(partial(run, block), xs, styles, (places, colors))
        return last_image(xs, places)

    return over_batch(one, ([_features(generator, w) for w in latents], tuple(masks)))


def _features(
    generator: MobileStyleGAN, w_plus: Float[Array, "batch num_ws w_dim"]
) -> tuple[Float[Array, "batch 4 4 channels"], list[dict[str, Array]]]:
    """What is the same on every device: the first feature map, and the styles of each block."""
    x = generator.input_conv(w_plus[:, 0], generator.dtype)
    styles = [
        block.styles(w_plus[:, 1 + 2 * i : 4 + 2 * i], generator.dtype)
        for i, block in enumerate(generator.blocks)
    ]
    return x, styles


def _synthesis_in_parallel(
    generator: MobileStyleGAN, w_plus: Float[Array, "batch num_ws w_dim"]
) -> Float[Array, "batch resolution resolution 3"]:
    """The batch at once, each image whole: for devices with many cores and fast memory."""
    x, styles = _features(generator, w_plus)
    for block, own in zip(generator.blocks, styles, strict=True):
        x = jax.vmap(partial(run_block, block))(x, own)
    return x


@jax.custom_jvp
def _synthesis_in_sequence(
    generator: MobileStyleGAN, w_plus: Float[Array, "batch num_ws w_dim"]
) -> Float[Array, "batch resolution resolution 3"]:
    """Image after image, stripe after stripe: for a CPU.

    A stripe passes through a whole block without leaving the cache, and the memory of one image serves the next
    (fresh memory costs a CPU as much as the arithmetic).
    """

    def one(first: tuple[Array, list[dict[str, Array]]]) -> Array:
        x, styles = first
        for block, own in zip(generator.blocks, styles, strict=True):
            x = run_block_in_stripes(block, x, own)
        return x

    return jax.lax.map(one, _features(generator, w_plus))


@_synthesis_in_sequence.defjvp
def _differentiate_whole(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """Derivatives come of whole images: the transpose of a stripe adds to all the rows, once for each stripe."""
    return jax.jvp(_synthesis_in_parallel, primals, tangents)
