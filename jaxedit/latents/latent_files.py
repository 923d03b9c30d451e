"""Latent files: projections write them; edits read them, also those of other libraries."""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator
from jaxedit.storage.arrays import ArrayFile, read_array, read_arrays, write_arrays
from jaxedit.storage.regular_files import parse_json

LATENT_FILE = "latent.npz"
DELTA_FILE = "delta.npz"

_KIND = "latent"
_FORMER_METADATA = "about"
"""Where files of earlier versions have their metadata."""
_NOISE = "noise."
_EXPECTED = "a latent (a .npy, a .npz, or a folder of `jaxedit project`)"
_NPY = b"\x93NUMPY"
"""How a .npy begins."""


@dataclasses.dataclass(frozen=True, eq=False)
class SavedLatent:
    """One latent with its metadata.

    Attributes:
        path: of the file.
        w: latent of W or W+, float32.
        noise: noise images of a StyleGAN2 [1, height, width] by layer, if the projection optimized them too.
        about: metadata: "generator", "projection" (its settings) and others; empty for a file of another origin.
    """

    path: Path
    w: Float[np.ndarray, "1 w_dim"] | Float[np.ndarray, "1 num_ws w_dim"]
    noise: dict[str, np.ndarray] | None
    about: dict[str, Any]

    @property
    def generator(self) -> str | None:
        """Name or folder of its generator, if the file tells."""
        name = self.about.get("generator")
        return name if isinstance(name, str) else None

    @property
    def delta(self) -> Path | None:
        """The file of its tuning, which stands beside it; None without one."""
        path = self.path.parent / DELTA_FILE
        return path if self.path.name == LATENT_FILE and path.is_file() else None

    def of(self, generator: Generator) -> Float[Array, "1 w_dim"] | Float[Array, "1 num_ws w_dim"]:
        """The latent as an array for a generator.

        Raises:
            InputError: if its shape is not that of the generator's latents.
        """
        width, layers = generator.w_dim, generator.num_ws
        if self.w.shape[1:] not in ((width,), (layers, width)):
            raise InputError(
                f"{self.path}: expected numbers of shape [{width}] or [{layers}, {width}], found "
                f"{list(self.w.shape[1:])}"
            )
        return jnp.asarray(self.w)

    def noise_of(self, generator: Generator) -> dict[str, Array] | None:
        """The noise images as arrays for a generator; None without any.

        Raises:
            InputError: if their names or shapes are not those of the generator.
        """
        if self.noise is None:
            return None
        own = generator.const_noise() if hasattr(generator, "const_noise") else {}
        expected = {name: tuple(image.shape) for name, image in own.items()}
        found = {name: image.shape[1:] for name, image in self.noise.items()}
        if expected != found:
            raise InputError(f"{self.path}: expected noise images of this generator, found those of another")
        return {name: jnp.asarray(image) for name, image in self.noise.items()}


def save_latent_file(
    path: str | Path,
    w_plus: Float[np.ndarray, "num_ws w_dim"],
    *,
    about: dict[str, Any],
    quad: Float[np.ndarray, "4 2"],
    noise: dict[str, np.ndarray] | None = None,
) -> Path:
    """Write a latent file, which `load_latent_file` reads.

    Args:
        path: an `.npz`.
        w_plus: the latent.
        about: metadata, JSON-serializable: "generator", "projection" and others; the name "kind" is taken.
        quad: corners of the crop in the photograph in pixels (x, y), as `AlignedFace` gives them.
        noise: noise images [height, width] by layer.

    Raises:
        OutputError: if the file cannot be written.
    """
    images = {f"{_NOISE}{name}": np.asarray(image, np.float32) for name, image in (noise or {}).items()}
    arrays = {"w_plus": np.asarray(w_plus, np.float32), "quad": np.asarray(quad, np.float64), **images}
    return write_arrays(path, arrays, about, kind=_KIND)


def load_latent_file(path: str | Path) -> SavedLatent:
    """One latent from a file: W [w_dim] or [1, w_dim], W+ [num_ws, w_dim] or [1, num_ws, w_dim].

    Args:
        path: a `.npy` with the numbers; an `.npz` with them as `w_plus` or `w` (as the official projector writes them);
            or a folder of `jaxedit project`, of which `latent.npz` is read.

    Raises:
        InputError: if the file is missing, damaged or no latent, holds more than one, or its numbers have another
            shape or are not finite.

    Examples:
        >>> import tempfile, numpy as np
        >>> from jaxedit.latents.latent_files import load_latent_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/projected_w.npz", w=np.zeros((1, 16, 512)))
        ...     load_latent_file(f"{folder}/projected_w.npz").w.shape
        (1, 16, 512)
    """
    path = Path(path)
    if path.is_dir():
        path = path / LATENT_FILE
    arrays, about = _read(path)
    w = arrays.get("w_plus", arrays.get("w"))
    if w is None:
        raise InputError(f"{path}: expected {_EXPECTED}, found an archive without w_plus or w")
    noise = {name.removeprefix(_NOISE): array for name, array in arrays.items() if name.startswith(_NOISE)}
    for name, array, dims in [("w", w, (1, 2, 3)), *((name, image, (2,)) for name, image in noise.items())]:
        if array.ndim not in dims or array.dtype.kind not in "fiu" or not array.size:
            raise InputError(
                f"{path}: {name}: expected numbers of shape [w_dim] or [num_ws, w_dim] (noise: [height, width]), "
                f"found {list(array.shape)} of {array.dtype}"
            )
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(array.astype(np.float32)).all()
        if not is_finite:
            raise InputError(f"{path}: {name}: expected finite numbers, found NaN or infinity")
    if w.ndim == 3 and len(w) != 1:
        raise InputError(f"{path}: expected one latent, found {len(w)}")
    if w.ndim < 3 and not (w.ndim == 2 and len(w) == 1):
        w = w[None]
    return SavedLatent(
        path,
        w.astype(np.float32),
        {name: image[None].astype(np.float32) for name, image in noise.items()} or None,
        about,
    )


def _read(path: Path) -> ArrayFile:
    """Arrays and metadata of a file; the array of a `.npy` is called w."""
    array = read_array(path, expected=_EXPECTED)
    if array is not None:
        return ArrayFile({"w": array}, {})
    arrays, metadata = read_arrays(path, kind=_KIND, expected=_EXPECTED)
    if _FORMER_METADATA in arrays:
        metadata = _former_metadata(path, arrays.pop(_FORMER_METADATA))
    return ArrayFile(arrays, metadata)


def _former_metadata(path: Path, text: np.ndarray) -> dict[str, Any]:
    try:
        found = parse_json(str(text))
    except ValueError as error:
        raise InputError(f"{path}: damaged: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: damaged: expected metadata, found {type(found).__name__}")
    return found
