"""The encoder: an image to a latent of W+ in one pass, and passes that look at the image of the last latent.

After Alaluf, Patashnik and Cohen-Or, *ReStyle: A Residual-Based StyleGAN Encoder via Iterative Refinement*, ICCV 2021:
one network sees the wanted image and the image of the present latent, and gives the change of the latent. The first
pass starts at the mean of W, whose features are part of the weights, so that it renders nothing. The features are those
of an AlexNet (Zhang et al., CVPR 2018, the network of LPIPS). Changes are written in the PCA of W: one part that all
layers share, and a smaller one for each layer, so that latents stay near W, where edits work (Tov et al., *Designing an
Encoder for StyleGAN Image Manipulation*, SIGGRAPH 2021).
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.errors import CheckpointError, InputError
from jaxedit.generators.protocol import Generator, weights_fingerprint
from jaxedit.inversion.encoder_config import NUM_ALEXNET_FEATURES, EncoderConfig
from jaxedit.inversion.loss_images import render
from jaxedit.latents.pca import fit_pca
from jaxedit.nn.layers import unit_length
from jaxedit.nn.lpips import LPIPS
from jaxedit.nn.parameters import Params
from jaxedit.nn.resize import average_pool, shrink
from jaxedit.storage.array_trees import read_array_tree, write_array_tree
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint

LAYERS = (1, 2, 4)
"""Of AlexNet's convolutions, those whose features are seen: the second, third and fifth."""

COLOR_SIDE = 8
"""Pixels a side of the image whose colors are seen."""

TINY = 1e-6
"""Added to the square of the length of features."""

_WITHOUT_BIAS = ("colors", "place")  # matrices of the head whose products are added to one with a bias

KIND = "encoder"
"""Kind of the checkpoint folder."""

Seen = tuple[Float[Array, "batch rows columns features"], Float[Array, "batch colors"]]
"""What an encoder sees of images: features on a grid, and colors."""


class Encoder(nnx.Module):
    """Images and present latents to better latents; a pytree and a pure function.

    Args:
        config: the shape.
        trunk: AlexNet of LPIPS, which stays as it is.
        params: "head", what is trained, and "fixed", what is measured once: see `initial_params`.
        generator_fingerprint: `weights_fingerprint` of the generator whose latents it finds; None if it is not known.

    Raises:
        KeyError: if an array is missing.
    """

    def __init__(
        self,
        config: EncoderConfig,
        trunk: LPIPS,
        params: Params,
        generator_fingerprint: str | None = None,
    ) -> None:
        self.config = config
        self.generator_fingerprint = generator_fingerprint
        self.trunk = trunk
        self.head = nnx.Dict({name: nnx.Param(params["head"][name]) for name in sorted(params["head"])})
        self.fixed = nnx.Dict({name: nnx.Variable(params["fixed"][name]) for name in sorted(params["fixed"])})

    def see(self, images: Float[Array, "batch side side 3"]) -> Seen:
        """What the encoder sees of images in [-1, 1]."""
        batch, side = len(images), self.config.side
        images = shrink(images, side)
        if images.shape[1] < side:
            images = jax.image.resize(images, (batch, side, side, 3), "linear")
        features = alexnet_features(self.trunk, images, self.config.grid)
        features = (features - self.fixed["channel_means"][...]) @ self.fixed["channel_components"][...]
        return features, shrink(images, COLOR_SIDE).reshape(batch, -1)

    def step(
        self, wanted: Seen, present: Seen, w_plus: Float[Array, "batch num_ws w_dim"]
    ) -> Float[Array, "batch num_ws w_dim"]:
        """Latents whose images are nearer to the wanted ones.

        Args:
            wanted: what is seen of the wanted images.
            present: what is seen of the images of the present latents.
            w_plus: the present latents.
        """
        head = {name: value[...] for name, value in self.head.items()}
        fixed = {name: value[...] for name, value in self.fixed.items()}
        return _step(self.config, head, fixed, wanted, present, w_plus)

    def first(self, wanted: Seen) -> Float[Array, "batch num_ws w_dim"]:
        """The latents of the first pass, from the mean of W."""
        batch = len(wanted[0])
        w_plus = jnp.broadcast_to(self.fixed["mean"][...], (batch, self.config.num_ws, self.config.w_dim))
        features, colors = self.fixed["mean_features"][...], self.fixed["mean_colors"][...]
        seen = jnp.broadcast_to(features, wanted[0].shape), jnp.broadcast_to(colors, wanted[1].shape)
        return self.step(wanted, seen, w_plus)

    def __call__(self, images: Float[Array, "batch side side 3"]) -> Float[Array, "batch num_ws w_dim"]:
        """Latents of images in [-1, 1] in one pass: `encode` with a single pass."""
        return self.first(self.see(images))

    def with_head(self, head: Mapping[str, Array]) -> "Encoder":
        """The encoder with another head."""
        fixed = {name: value[...] for name, value in self.fixed.items()}
        return Encoder(self.config, self.trunk, {"head": head, "fixed": fixed}, self.generator_fingerprint)

    def fingerprint(self) -> str:
        """Of all that its latents depend on (see `weights_fingerprint`)."""
        return weights_fingerprint(nnx.state(self))

    def check_generator(self, generator: Generator, *, name: str = "encoder") -> None:
        """Refuse a generator whose latents this encoder does not find.

        Args:
            generator: renders the latents.
            name: of the encoder, for the error.

        Raises:
            InputError: if the shape of W+ or the fingerprint differs.
        """
        shape = (generator.num_ws, generator.w_dim)
        if (own := (self.config.num_ws, self.config.w_dim)) != shape:
            raise InputError(
                f"{name}: expected an encoder of latents {list(shape)}, as the generator's W+, got one of {list(own)}"
            )
        fingerprint = self.generator_fingerprint
        if fingerprint is not None and fingerprint != (found := weights_fingerprint(generator)):
            raise InputError(
                f"{name}: expected an encoder of this generator (weights {found[:8]}), got one of another generator or "
                f"class (weights {fingerprint[:8]}); `jaxedit train-encoder` makes one of this"
            )

    def save(self, folder: str | Path) -> Path:
        """Write a checkpoint folder of kind "encoder", in half precision. AlexNet's weights are not part of it.

        Raises:
            OutputError: if the folder cannot be written.
        """
        return save_checkpoint(folder, kind=KIND, config=self._described(), arrays=self._arrays())

    def save_file(self, path: str | Path) -> Path:
        """Write one file (`.npz`), as encoders ship with the package.

        Raises:
            OutputError: if the file cannot be written.
        """
        return write_array_tree(path, self._described(), self._arrays(), kind=KIND, compressed=True)

    @classmethod
    def load(cls, folder: str | Path) -> "Encoder":
        """Read a folder of `save`. AlexNet is fetched once (64 MB).

        Raises:
            CheckpointError: if the folder is missing, damaged, or of another kind.
            DownloadError: if AlexNet cannot be fetched.
        """
        return cls._of(folder, *load_checkpoint(folder, kind=KIND))

    @classmethod
    def load_file(cls, path: str | Path) -> "Encoder":
        """Read a file of `save_file`. AlexNet is fetched once (64 MB).

        Raises:
            InputError: if the file is missing, damaged, or of another kind.
            CheckpointError: if its arrays do not fit together.
            DownloadError: if AlexNet cannot be fetched.
        """
        return cls._of(path, *read_array_tree(path, kind=KIND, expected="an encoder"))

    def _described(self) -> dict[str, Any]:
        return {"shape": dataclasses.asdict(self.config), "generator_fingerprint": self.generator_fingerprint}

    def _arrays(self) -> dict[str, Any]:
        parts = {"head": self.head, "fixed": self.fixed}
        return {
            part: {name: np.asarray(value[...], np.float16) for name, value in arrays.items()}
            for part, arrays in parts.items()
        }

    @classmethod
    def _of(cls, path: str | Path, config: Mapping[str, Any], arrays: Mapping[str, Any]) -> "Encoder":
        try:
            shape = EncoderConfig(**config["shape"])
            parts = {part: set(arrays[part]) for part in ("head", "fixed")}
            fingerprint = config["generator_fingerprint"]
        except (KeyError, TypeError, InputError) as error:
            raise CheckpointError(f"{path}: damaged: {type(error).__name__}: {error}") from error
        expected = _array_shapes(shape)
        for part, shapes in expected.items():
            found = {name: np.shape(arrays[part][name]) for name in parts[part]}
            if found != shapes:
                raise CheckpointError(f"{path}: damaged: expected arrays {shapes} in {part!r}, found {found}")
        params = jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float32)), dict(arrays))
        return cls(shape, LPIPS.from_pretrained("alex"), params, fingerprint)


def alexnet_features(
    trunk: LPIPS, images: Float[Array, "batch side side 3"], grid: int
) -> Float[Array, "batch {grid} {grid} channels"]:
    """Features of three convolutions on one grid; those of each place and convolution have unit length."""
    found = trunk.activations(images)
    features = []
    for index in LAYERS:
        x = unit_length(found[index], tiny=TINY)
        features.append(x if x.shape[1] == grid else average_pool(x, x.shape[1] // grid)[:, :grid, :grid])
    return jnp.concatenate(features, axis=3)


def _step(
    config: EncoderConfig,
    head: Mapping[str, Array],
    fixed: Mapping[str, Array],
    wanted: Seen,
    present: Seen,
    w_plus: Float[Array, "batch num_ws w_dim"],
) -> Float[Array, "batch num_ws w_dim"]:
    x = jnp.concatenate([wanted[0], wanted[0] - present[0]], axis=3)
    x = jax.nn.relu(x @ head["reduce"] + head["reduce_bias"]).reshape(len(x), -1)
    colors = jnp.concatenate([wanted[1], wanted[1] - present[1]], axis=1)
    # Where the present latent lies: the mean over its layers, in standard deviations of W.
    place = ((w_plus.mean(1) - fixed["mean"]) @ fixed["components"].T) / fixed["scales"]
    x = x @ head["hidden"] + colors @ head["colors"] + place @ head["place"] + head["hidden_bias"]
    x = jax.nn.relu(x)
    x = x + jax.nn.relu(x @ head["mixed"] + head["mixed_bias"])
    n = config.num_components
    shared = (x @ head["shared"] + head["shared_bias"]) * fixed["scales"]
    own = (x @ head["layers"] + head["layers_bias"]).reshape(len(x), config.num_ws, n) * fixed["scales"][:n]
    return w_plus + (shared @ fixed["components"])[:, None] + own @ fixed["components"][:n]


def encode(
    encoder: Encoder,
    generator: Generator,
    images: Float[Array, "batch side side 3"],
    *,
    num_passes: int = 1,
) -> Float[Array, "batch num_ws w_dim"]:
    """Latents of W+ whose images look like the given ones; pure, for `jit` and `vmap`.

    Args:
        encoder: of this generator.
        generator: renders the latents of each pass but the last.
        images: in [-1, 1], aligned as the generator's are.
        num_passes: 1 for the encoder alone.
    """
    wanted = encoder.see(images)
    w_plus = encoder.first(wanted)
    for _ in range(num_passes - 1):
        present = encoder.see(jnp.clip(render(generator, w_plus, None, is_cheap=True), -1, 1))
        w_plus = encoder.step(wanted, present, w_plus)
    return w_plus


def initial_params(
    config: EncoderConfig,
    trunk: LPIPS,
    w: Float[np.ndarray, "num_latents w_dim"],
    images: Float[Array, "num_images side side 3"],
    mean_image: Float[Array, "1 side side 3"],
    *,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Parameters of an untrained encoder, which leaves every latent as it is.

    Args:
        config: the shape.
        trunk: AlexNet of LPIPS.
        w: latents of W, some thousand, for mean and PCA.
        images: in [-1, 1], some dozen, for the PCA of AlexNet's channels.
        mean_image: the image of the mean of `w`.
        seed: of the head.
    """
    in_w = fit_pca(w, 1)
    scales = np.sqrt(in_w.explained_variance)
    seen = np.asarray(alexnet_features(trunk, shrink(images, config.side), config.grid))
    channels = fit_pca(seen.reshape(-1, NUM_ALEXNET_FEATURES), 1)
    # The first component with unit variance.
    kept = channels.components[: config.num_features].T / np.sqrt(channels.explained_variance[0])
    fixed = {
        "mean": in_w.mean,
        "scales": np.maximum(scales, 1e-3 * scales[0]),
        "components": in_w.components,
        "channel_means": channels.mean,
        "channel_components": kept,
        "mean_features": np.zeros((1, config.grid, config.grid, config.num_features)),
        "mean_colors": np.zeros((1, 3 * COLOR_SIDE**2)),
    }
    random = np.random.RandomState(seed)
    head = {}
    for name, (rows, columns, gain) in _head_shapes(config).items():
        head[name] = random.standard_normal((rows, columns)) * np.sqrt(gain / rows)
        if name not in _WITHOUT_BIAS:
            head[f"{name}_bias"] = np.zeros(columns)
    params = {
        part: {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}
        for part, arrays in (("fixed", fixed), ("head", head))
    }
    features, colors = Encoder(config, trunk, params).see(mean_image)
    params["fixed"] |= {"mean_features": features, "mean_colors": colors}
    return params


def _array_shapes(config: EncoderConfig) -> dict[str, dict[str, tuple[int, ...]]]:
    """The shapes of all arrays of an encoder, by part and name."""
    head: dict[str, tuple[int, ...]] = {}
    for name, (rows, columns, _) in _head_shapes(config).items():
        head[name] = (rows, columns)
        if name not in _WITHOUT_BIAS:
            head[f"{name}_bias"] = (columns,)
    width, grid, colors = config.w_dim, config.grid, 3 * COLOR_SIDE**2
    fixed = {
        "mean": (width,),
        "scales": (width,),
        "components": (width, width),
        "channel_means": (NUM_ALEXNET_FEATURES,),
        "channel_components": (NUM_ALEXNET_FEATURES, config.num_features),
        "mean_features": (1, grid, grid, config.num_features),
        "mean_colors": (1, colors),
    }
    return {"head": head, "fixed": fixed}


def _head_shapes(config: EncoderConfig) -> dict[str, tuple[int, int, float]]:
    """Rows, columns and gain of the matrices of the head."""
    c, h = config.num_channels, config.num_hidden
    return {
        "reduce": (2 * config.num_features, c, 8.0),
        "hidden": (config.grid**2 * c, h, 1.0),
        "colors": (2 * 3 * COLOR_SIDE**2, h, 1.0),
        "place": (config.w_dim, h, 0.5),
        "mixed": (h, h, 1.0),
        "shared": (h, config.w_dim, 0.0),
        "layers": (h, config.num_ws * config.num_components, 0.0),
    }
