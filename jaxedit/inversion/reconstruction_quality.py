"""Reconstruction quality: perceptual, pixel and identity distance of an image to its original."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.attributes.faces.face_attributes import FaceIdentity
from jaxedit.errors import InputError
from jaxedit.inversion.image_arguments import ImageLike, ImagesLike, as_batch
from jaxedit.nn.lpips import LPIPS
from jaxedit.nn.resize import shrink

SIZE = 256
"""Pixels a side at which LPIPS and `psnr_256` compare."""

_MIN_SIDE = 32  # of the perceptual network
_MAX_SIDE = 4096
_MIN_IDENTITY_SIDE = 128  # of the face descriptor
_LEAST_ERROR = 1e-10  # equal images have a PSNR of 106 dB, not an infinite one, which JSON cannot hold


def compare(
    original: ImageLike,
    reconstruction: ImageLike,
) -> dict[str, float]:
    """Measure the reconstruction quality of one image: the numbers of `compare_batch`.

    Args:
        original: as `project` takes it; 32 pixels a side or more.
        reconstruction: likewise.

    Raises:
        InputError, DownloadError, OutputError: as `compare_batch`.

    Examples:
        >>> import numpy as np
        >>> from jaxedit.inversion.reconstruction_quality import compare
        >>> image = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
        >>> sorted(compare(image, image))
        ['lpips', 'psnr', 'psnr_256']
    """
    return {name: float(values[0]) for name, values in compare_batch(original, reconstruction).items()}


def compare_batch(
    originals: ImagesLike,
    reconstructions: ImagesLike,
) -> dict[str, Float[np.ndarray, " batch"]]:
    """Measure the reconstruction quality of a batch of images.

    Args:
        originals: as `project` takes them; 32 pixels a side or more.
        reconstructions: likewise. The larger of the two are shrunk to the size of the smaller.

    Returns:
        "lpips": LPIPS with AlexNet at 256 pixels a side. "psnr_256" and "psnr": peak signal-to-noise ratio in dB at 256
        pixels a side and at full size, at most 106. "identity": Euclidean distance of the face descriptors, for faces
        aligned as FFHQ is: below about 0.6 it is the same person. Absent below 128 pixels a side.

    Raises:
        InputError: if the images are smaller than 32 pixels a side, or not finite.
        DownloadError, OutputError: if the networks cannot be fetched.
    """
    originals = as_batch(originals, "originals", min_side=_MIN_SIDE, max_side=_MAX_SIDE)
    reconstructions = as_batch(reconstructions, "reconstructions", min_side=_MIN_SIDE, max_side=_MAX_SIDE)
    if len(originals) != len(reconstructions):
        raise InputError(f"images: expected as many of both, got {len(originals)} and {len(reconstructions)}")
    side = min(originals.shape[1], reconstructions.shape[1])
    lpips, identity = _models()
    has_identity = side >= _MIN_IDENTITY_SIDE
    measured = _compare(lpips, identity if has_identity else None, originals, reconstructions, side)
    result = jax.tree.map(np.asarray, measured)
    if not all(np.isfinite(values).all() for values in result.values()):
        raise InputError("images: expected finite numbers, got NaN or infinity")
    return result


def metrics_text(metrics: dict[str, float]) -> str:
    """Metrics as text: "LPIPS 0.21, PSNR 19.3 dB, identity 0.41"."""
    parts = [f"LPIPS {metrics['lpips']:.2f}", f"PSNR {metrics['psnr_256']:.1f} dB"]
    if "identity" in metrics:
        parts.append(f"identity {metrics['identity']:.2f}")
    return ", ".join(parts)


@functools.cache
def _models() -> tuple[LPIPS, FaceIdentity]:
    return LPIPS.from_pretrained("alex"), FaceIdentity()


@functools.partial(jax.jit, static_argnames=("side",))
def _compare(
    lpips: LPIPS, identity: FaceIdentity | None, originals: Array, reconstructions: Array, side: int
) -> dict[str, Any]:
    a, b = (shrink(images, side) for images in (originals, reconstructions))
    small_a, small_b = shrink(a, SIZE), shrink(b, SIZE)
    with jax.default_matmul_precision("float32"):
        measured = {
            "lpips": lpips(small_a, small_b),
            "psnr_256": _psnr(small_a, small_b),
            "psnr": _psnr(a, b),
        }
    if identity is not None:
        measured["identity"] = jnp.linalg.norm(identity(a) - identity(b), axis=1)
    return measured


def _psnr(a: Array, b: Array) -> Float[Array, " batch"]:
    error = jnp.square(a - b).mean((1, 2, 3))
    return 10 * (math.log10(4) - jnp.log10(jnp.maximum(error, _LEAST_ERROR)))
