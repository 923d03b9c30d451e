"""The protocol of generators, and checks of latents."""

import hashlib
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.errors import InputError


@runtime_checkable
class Generator(Protocol):
    """A pretrained StyleGAN: mapping network and synthesis network.

    The rest of the library uses nothing else of a generator. An instance is a pytree (every Flax NNX module is one),
    so it passes through `jax.jit` as an argument.
    """

    @property
    def z_dim(self) -> int:
        """Width of the input latent."""

    @property
    def c_dim(self) -> int:
        """Number of classes; 0 for an unconditional generator."""

    @property
    def w_dim(self) -> int:
        """Width of the intermediate latent."""

    @property
    def num_ws(self) -> int:
        """Number of layers of W+."""

    @property
    def resolution(self) -> int:
        """Height and width of the image; of one that is not square, the longer side."""

    def mapping(
        self,
        z: Float[Array | np.ndarray, "batch z_dim"],
        *,
        c: Float[Array | np.ndarray, "classes c_dim"] | None = None,
        truncation_psi: float | Float[Array, ""] = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]:
        """z ↦ w; latents of W+ if there is a cutoff. A conditional generator needs one-hot classes `c`."""

    def synthesis(
        self, w: Float[Array | np.ndarray, "batch w_dim"] | Float[Array | np.ndarray, "batch num_ws w_dim"]
    ) -> Float[Array, "batch image_height image_width colors"]:
        """Latents of W or W+ ↦ images, nominally in [-1, 1] (`to_uint8` clips). Most are square RGB."""

    def describe(self) -> dict[str, Any]:
        """Family and config, JSON-serializable: with the arrays, all that a checkpoint needs."""


def check_latents(name: str, latents: Array | np.ndarray, *, width: int, num_ws: int | None = None) -> None:
    """Raise `InputError` unless `latents` is [batch, width] or, given `num_ws`, [batch, num_ws, width]."""
    if not hasattr(latents, "ndim"):
        raise InputError(f"{name}: expected an array, got {type(latents).__name__}")
    expected = f"[batch, {width}]" + (f" or [batch, {num_ws}, {width}]" if num_ws is not None else "")
    is_flat = latents.ndim == 2 and latents.shape[1] == width
    is_layered = num_ws is not None and latents.ndim == 3 and latents.shape[1:] == (num_ws, width)
    if not (is_flat or is_layered):
        raise InputError(f"{name}: expected shape {expected}, got {list(latents.shape)}")
    if not jnp.issubdtype(latents.dtype, jnp.floating):
        raise InputError(f"{name}: expected floating-point numbers, got {latents.dtype}")


def check_square_rgb(generator: Any, *, use: str) -> None:
    """Raise `InputError` for a generator whose images are not square RGB.

    Args:
        generator: a generator of this library, whose config is asked; or another, whose synthesis is traced.
        use: what needs such images, for the error.
    """
    config = getattr(getattr(generator, "generator", generator), "config", None)
    if config is not None:
        channels, (height, width) = (
            getattr(config, "image_channels", 3),
            getattr(config, "image_size", (1, 1)),
        )
    else:
        w = jax.ShapeDtypeStruct((1, generator.w_dim), jnp.float32)
        _, height, width, channels = jax.eval_shape(generator.synthesis, w).shape
    if channels != 3 or height != width:
        raise InputError(
            f"generator: {use} needs one of square RGB images, got one of {width} × {height} with {channels} channels"
        )


def as_w_plus(
    name: str, latents: Any, generator: Generator, *, batch: int
) -> Float[Array, "batch num_ws w_dim"]:
    """Latents that a caller gives, as a batch of W+: of one latent without the axis of the batch too.

    Args:
        name: of the argument in errors.
        latents: [batch, w_dim] or [batch, num_ws, w_dim]; of a batch of one also [w_dim] or [num_ws, w_dim].
        generator: whose latents they are.
        batch: how many are expected.

    Raises:
        InputError: if they have another shape, or are not finite floating-point numbers.
    """
    array = np.asarray(latents)
    num_ws, width = generator.num_ws, generator.w_dim
    shapes: tuple[tuple[int, ...], ...] = ((batch, width), (batch, num_ws, width))
    if batch == 1:
        shapes = (*shapes, (num_ws, width), (width,))
    if array.shape not in shapes or not jnp.issubdtype(array.dtype, jnp.floating):
        expected = " or ".join(str(list(shape)) for shape in shapes)
        raise InputError(
            f"{name}: expected floats of shape {expected}, got {list(array.shape)} of {array.dtype}"
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite numbers, got NaN or infinity")
    if batch == 1 and array.shape in ((num_ws, width), (width,)) and array.shape != (batch, width):
        array = array[None]
    return broadcast_w(jnp.asarray(array), num_ws)


def broadcast_w(
    w: Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"], num_ws: int
) -> Float[Array, "batch num_ws w_dim"]:
    """W+ from W: the same latent for each layer. Latents of W+ are returned as they are."""
    return jnp.broadcast_to(w[:, None, :], (w.shape[0], num_ws, w.shape[1])) if w.ndim == 2 else w


def has_explicit_sharding(x: Array) -> bool:
    """Whether a batch is sharded over a mesh with explicit axes. JAX knows it while it traces."""
    return jax.typeof(x).sharding.spec[0] is not None


def weights_fingerprint(model: Any) -> str:
    """SHA-256 of all arrays of a generator or another pytree.

    Long work notices by it that a folder was overwritten, and axes that they meet another generator. A generator with
    its class chosen has another fingerprint for each class.
    """
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(model):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
