"""StyleGAN2 and StyleGAN2-ADA.

Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, CVPR 2020 (arXiv 1912.04958), and *Training
Generative Adversarial Networks with Limited Data*, NeurIPS 2020 (arXiv 2006.06676). Each block doubles the resolution
by a modulated 3×3 convolution and applies another one. Architecture `skip` adds up an RGB image over the blocks,
`resnet` adds a linear path around each block, `orig` does neither.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, DTypeLike, Float, Key

from jaxedit.errors import InputError
from jaxedit.generators.in_places import Stages, checked_stages, last_image, run_in_places
from jaxedit.generators.mapping import MappedGenerator, MappingNetwork
from jaxedit.generators.protocol import broadcast_w, check_latents, has_explicit_sharding
from jaxedit.generators.stylegan2.blocks import Block, Settings, run_block
from jaxedit.generators.stylegan2.config import StyleGAN2Config
from jaxedit.nn.parameters import Buffer, Params
from jaxedit.nn.platform_branch import platform_branch

NoiseMode = Literal["const", "random", "none"]
Styles = Mapping[str, Float[Array, "batch channels"]]
"""Latents of StyleSpace: factors of each layer's input channels, by the layer's name (`b64.conv0`, `b64.to_rgb`, …)."""
Noise = Mapping[
    str, Float[Array | np.ndarray, "height width"] | Float[Array | np.ndarray, "batch height width"]
]
"""Noise images by the layer's name, before the layer's strength multiplies them."""

_WHOLE_BATCH_UP_TO = 32
"""On a CPU, blocks up to this resolution take the batch at once (their weights are read once), larger ones image after
image (the memory of one serves the next)."""


class StyleGAN2(MappedGenerator):
    """The generator: `mapping` from z to w, `synthesis` from w or w_plus to images.

    Args:
        config: its shape.
        params: nested dict with the names of the modules, as `weights_conversion` gives them.
        dtype: in which the blocks of the highest resolutions compute, float32 or bfloat16. Weights, styles, W, the
            other blocks and the image stay float32.
        num_bfloat16_res: the number of these blocks; four in the official mixed precision.

    Derivatives are those of reverse mode (`jax.grad`, `jax.vjp`, `jax.jacrev`).
    """

    family = "stylegan2"

    def describe(self) -> dict[str, Any]:
        """Family and config, JSON-serializable; the shape of the image only where it is not square RGB."""
        usual = {field.name: field.default for field in dataclasses.fields(StyleGAN2Config)}
        described = super().describe()
        return {
            key: value
            for key, value in described.items()
            if key not in ("image_channels", "constant_size") or value != usual[key]
        }

    def __init__(
        self,
        config: StyleGAN2Config,
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
        self.constant = nnx.Param(jnp.asarray(params["constant"]))
        self.blocks = nnx.List([Block(params["blocks"][str(i)]) for i in range(len(config.channels))])

    def synthesis(
        self,
        w: Float[Array | np.ndarray, "batch w_dim"] | Float[Array | np.ndarray, "batch num_ws w_dim"],
        *,
        noise_mode: NoiseMode = "const",
        key: Key[Array, ""] | None = None,
        noise: Noise | None = None,
    ) -> Float[Array, "batch image_height image_width colors"]:
        """Latents ↦ images.

        Args:
            w: latents of W or W+, float32.
            noise_mode: `const` adds the noise images that belong to the generator, `random` draws new ones, `none` adds
                none.
            key: for `random`.
            noise: for `const`, noise images that replace the generator's own in some layers, as `const_noise` gives
                them.

        Returns:
            RGB (or `config.image_channels`), float32, nominally in [-1, 1]: the network overshoots a little, and
            `to_uint8` clips.

        Raises:
            InputError: if an argument has another shape, or key and noise do not go with the mode.
        """
        check_latents("w", w, width=self.w_dim, num_ws=self.num_ws)
        return self._synthesis(jnp.asarray(w), self._noise_images(w.shape[0], noise_mode, key, noise))

    def synthesis_in_places(
        self,
        stages: Sequence[Float[Array | np.ndarray, "_ w_dim"] | Float[Array | np.ndarray, "_ num_ws w_dim"]],
        places: Sequence[Float[Array | np.ndarray, "_ _ _"]],
        colors: Sequence[Float[Array | np.ndarray, "_ _ _"]] | None = None,
        *,
        noise: Noise | None = None,
    ) -> Float[Array, "batch image_height image_width colors"]:
        """One image of several latents, each at its own place: see `jaxedit.generators.in_places`.

        Args:
            stages: latents of W or W+, the unedited ones first.
            places: for each further stage, where it shows instead of the stage before, 0…1.
            colors: for each further stage, the part of its place that it colors. None: all of it.
            noise: as for `synthesis`; the same for all stages.

        Raises:
            InputError: if there are not places and colors for each further stage, or a shape is wrong.
        """
        images = self._noise_images(len(stages[0]), "const", None, noise)
        return self._in_places(checked_stages(self, stages, places, colors), images)

    @jax.jit
    def _in_places(
        self, stages: Stages, noise: dict[str, Array] | None
    ) -> Float[Array, "batch image_height image_width colors"]:
        if noise is None:
            noise = {name: image[None] for name, image in self.const_noise().items()}
        latents, *masks = stages
        return platform_branch(
            self,
            [self._styles(w) for w in latents],
            tuple(masks),
            noise,
            cpu=_in_places_in_sequence,
            default=_in_places_in_parallel,
        )

    def styles(
        self, w: Float[Array | np.ndarray, "batch w_dim"] | Float[Array | np.ndarray, "batch num_ws w_dim"]
    ) -> dict[str, Float[Array, "batch channels"]]:
        """Latents of StyleSpace S: the style of every layer.

        Wu, Lischinski and Shechtman, *StyleSpace Analysis*, CVPR 2021.

        Raises:
            InputError: if w has another shape.
        """
        check_latents("w", w, width=self.w_dim, num_ws=self.num_ws)
        return self._styles(jnp.asarray(w))

    def synthesis_from_styles(
        self,
        styles: Styles,
        *,
        noise_mode: NoiseMode = "const",
        key: Key[Array, ""] | None = None,
        noise: Noise | None = None,
    ) -> Float[Array, "batch image_height image_width colors"]:
        """`synthesis` from edited styles.

        Raises:
            InputError: if a style is missing, unknown or of another shape, or key and noise do not go with the mode.
        """
        expected = self.style_channels
        if set(styles) != set(expected):
            raise InputError(f"styles: expected the layers {', '.join(expected)}, got {', '.join(styles)}")
        batch = len(next(iter(styles.values())))
        for name, channels in expected.items():
            if styles[name].shape != (batch, channels):
                raise InputError(
                    f"styles: {name}: expected shape {[batch, channels]}, got {list(styles[name].shape)}"
                )
        return self._synthesis(dict(styles), self._noise_images(batch, noise_mode, key, noise))

    @property
    def style_channels(self) -> dict[str, int]:
        """The layers of StyleSpace, in the order in which they act, each with its number of channels."""
        return {
            f"b{resolution}.{name}": layer.affine.bias[...].shape[0]
            for resolution, block in zip(self.config.block_resolutions, self.blocks, strict=True)
            for name, layer in block.styled()
        }

    def const_noise(self) -> dict[str, Float[Array, "height width"]]:
        """The noise images that belong to the generator, by layer."""
        return {
            f"b{resolution}.{name}": layer.noise[...]
            for resolution, block in zip(self.config.block_resolutions, self.blocks, strict=True)
            for name, layer in block.convolutions()
        }

    def _noise_images(
        self, batch: Any, mode: NoiseMode, key: Key[Array, ""] | None, noise: Noise | None
    ) -> dict[str, Array] | None:
        """Noise [1 or batch, height, width] of each layer; empty for no noise, None for the generator's own.

        The batch size is a symbol where the program is exported.
        """
        if mode not in ("const", "random", "none"):
            raise InputError(f"noise_mode: expected const, random or none, got {mode!r}")
        if (key is not None) != (mode == "random"):
            raise InputError(f"key: expected {'one' if key is None else 'none'} for noise_mode {mode!r}")
        if noise is not None and mode != "const":
            raise InputError(f"noise: expected none for noise_mode {mode!r}")
        if mode == "none":
            return {}
        if mode == "const" and not noise:
            return None
        own = self.const_noise()
        if key is not None:
            keys = jax.random.split(key, len(own))
            return {
                name: jax.random.normal(k, (batch, *image.shape))
                for k, (name, image) in zip(keys, own.items(), strict=True)
            }
        given = {name: jnp.asarray(image) for name, image in (noise or {}).items()}
        for name, image in given.items():
            if name not in own:
                raise InputError(f"noise: expected some of the layers {', '.join(own)}, got {name!r}")
            if image.shape not in (own[name].shape, (batch, *own[name].shape)):
                raise InputError(
                    f"noise: {name}: expected shape {list(own[name].shape)}, alone or for each of {batch} images, "
                    f"got {list(image.shape)}"
                )
        return {name: image if image.ndim == 3 else image[None] for name, image in (own | given).items()}

    @jax.jit
    def _styles(
        self, w: Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]
    ) -> dict[str, Float[Array, "batch channels"]]:
        w_plus = broadcast_w(w, self.num_ws)
        styles = {}
        for i, (resolution, block) in enumerate(zip(self.config.block_resolutions, self.blocks, strict=True)):
            # An RGB layer shares its latent with the next block's first convolution.
            own = w_plus[:, :2] if i == 0 else w_plus[:, 2 * i - 1 : 2 * i + 2]
            for name, layer in block.styled():
                position = {"conv0": 0, "conv1": min(i, 1), "to_rgb": min(i, 1) + 1}[name]
                styles[f"b{resolution}.{name}"] = layer.affine(own[:, position])
        return styles

    @jax.jit
    def _synthesis(
        self,
        latents: Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"] | dict[str, Array],
        noise: dict[str, Array] | None,
    ) -> Float[Array, "batch image_height image_width colors"]:
        styles = latents if isinstance(latents, dict) else self._styles(latents)
        if noise is None:
            noise = {name: image[None] for name, image in self.const_noise().items()}
        # One image after the other would gather what is spread over devices.
        if has_explicit_sharding(styles["b4.conv1"]):
            return _synthesis_in_parallel(self, styles, noise)
        return platform_branch(
            self, styles, noise, cpu=_synthesis_in_sequence, default=_synthesis_in_parallel
        )


def _settings(generator: StyleGAN2, index: int) -> Settings:
    config = generator.config
    is_low_precision = index >= len(config.channels) - generator.num_bfloat16_res
    return Settings(
        conv_clamp=config.conv_clamp,
        dtype=generator.dtype if is_low_precision else jnp.dtype(jnp.float32),
    )


def _of_block(arrays: dict[str, Array], resolution: int) -> dict[str, Array]:
    """The styles or noise of one block, by the layer's name within it."""
    prefix = f"b{resolution}."
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _through_blocks(
    generator: StyleGAN2,
    x: Float[Array, "batch height width channels"],
    image: Float[Array, "batch height width colors"] | None,
    styles: dict[str, Array],
    noise: dict[str, Array],
    *,
    blocks: range,
) -> tuple[Array, Any]:
    """Features and image after some of the blocks."""
    for i in blocks:
        resolution = generator.config.block_resolutions[i]
        own_styles, own_noise = _of_block(styles, resolution), _of_block(noise, resolution)
        x, image = run_block(generator.blocks[i], x, image, own_styles, own_noise, _settings(generator, i))
    return x, image


def _in_places_in_parallel(
    generator: StyleGAN2, stages: list[dict[str, Array]], masks: tuple[Any, Any], noise: dict[str, Array]
) -> Float[Array, "batch image_height image_width colors"]:
    """All stages through one block after the other, features and images."""
    first = _first(generator, len(stages[0]["b4.conv1"]))
    shown: list[tuple[Array, Any]] = [(first, None)] * len(stages)
    for i in range(len(generator.blocks)):

        def block(before: tuple[Array, Any], styles: dict[str, Array], i: int = i) -> tuple[Array, Any]:
            return _through_blocks(generator, *before, styles, noise, blocks=range(i, i + 1))

        shown = run_in_places(block, shown, stages, masks)
    return last_image([image for _, image in shown], masks[0])


def _in_places_in_sequence(
    generator: StyleGAN2,
    stages: list[dict[str, Array]],
    masks: tuple[Any, Any],
    noise: dict[str, Array],
) -> Float[Array, "batch image_height image_width colors"]:
    """Image after image: for a CPU."""
    shared = {name: images for name, images in noise.items() if len(images) == 1}
    own = {name: images for name, images in noise.items() if len(images) > 1}

    def one(inputs: tuple[list[dict[str, Array]], tuple[Any, Any], dict[str, Array]]) -> Array:
        stages, masks, own = jax.tree.map(lambda array: array[None], inputs)
        return _in_places_in_parallel(generator, stages, masks, shared | own)[0]

    return jax.lax.map(one, (stages, masks, own))


def _first(generator: StyleGAN2, batch: Any) -> Float[Array, "batch rows columns channels"]:
    constant = generator.constant[...]
    return jnp.broadcast_to(constant, (batch, *constant.shape))


def _synthesis_in_parallel(
    generator: StyleGAN2, styles: dict[str, Array], noise: dict[str, Array]
) -> Float[Array, "batch image_height image_width colors"]:
    """The batch at once: for devices with many cores and fast memory."""
    x = _first(generator, styles["b4.conv1"].shape[0])
    return _through_blocks(generator, x, None, styles, noise, blocks=range(len(generator.blocks)))[1]


@jax.custom_jvp
def _synthesis_in_sequence(
    generator: StyleGAN2, styles: dict[str, Array], noise: dict[str, Array]
) -> Float[Array, "batch image_height image_width colors"]:
    """Small blocks for the whole batch, large ones image after image: for a CPU."""
    batch = styles["b4.conv1"].shape[0]
    resolutions = generator.config.block_resolutions
    split = sum(resolution <= _WHOLE_BATCH_UP_TO for resolution in resolutions)
    large = range(split, len(resolutions))
    x = _first(generator, batch)
    if batch == 1:  # a loop of one costs an eighth
        return _through_blocks(generator, x, None, styles, noise, blocks=range(len(resolutions)))[1]
    x, image = _through_blocks(generator, x, None, styles, noise, blocks=range(split))
    if not large:
        return image
    later = tuple(f"b{resolutions[i]}." for i in large)
    styles = {name: style for name, style in styles.items() if name.startswith(later)}
    shared = {name: images for name, images in noise.items() if len(images) == 1}
    own = {name: images for name, images in noise.items() if len(images) > 1}

    def one(inputs: tuple[Array, Array | None, dict[str, Array], dict[str, Array]]) -> Array:
        x, image, styles, own = jax.tree.map(lambda array: array[None], inputs)
        return _through_blocks(generator, x, image, styles, shared | own, blocks=large)[1][0]

    return jax.lax.map(one, (x, image, styles, own))


@_synthesis_in_sequence.defjvp
def _differentiate_at_once(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """Derivatives of the batch at once: a loop would copy everything that it must remember."""
    return jax.jvp(_synthesis_in_parallel, primals, tangents)
