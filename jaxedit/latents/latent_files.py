"""Latent files: projections write them; edits read them, also those of other libraries."""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.errors import InputError
from jaxedit.generators.conditional import without_class
from jaxedit.generators.protocol import Generator
from jaxedit.latents.latent_entries import LATENT_KEYS, choose_entry, find_entries
from jaxedit.storage.arrays import write_arrays
from jaxedit.storage.foreign_arrays import read_any_arrays
from jaxedit.storage.paths import as_path
from jaxedit.storage.regular_files import parse_json

LATENT_FILE = "latent.npz"
DELTA_FILE = "delta.npz"

_KIND = "latent"
_FORMER_METADATA = "about"
"""Where files of earlier versions have their metadata."""
_NOISE = "noise."
_EXPECTED = "a latent (a .npy, .npz, .pt or .pkl, or a folder of `jaxedit project`)"


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
            InputError: if its shape is not that of the generator's latents. A latent of W that is repeated for another
                number of layers fits.
        """
        width, layers, shape = generator.w_dim, generator.num_ws, self.w.shape[1:]
        if shape in ((width,), (layers, width)):
            return jnp.asarray(self.w)
        if len(shape) == 2 and shape[1] == width and (self.w == self.w[:, :1]).all():
            return jnp.asarray(self.w[:, 0])  # W, repeated for the layers of another generator
        hint = (
            f" (W+ of a generator with {shape[0]} layers; or latents of W, of which --index chooses one)"
            if len(shape) == 2 and shape[1] == width
            else ""
        )
        raise InputError(
            f"{self.path}: expected numbers of shape [{width}] or [{layers}, {width}], found {list(shape)}{hint}"
        )

    def noise_of(self, generator: Generator) -> dict[str, Array] | None:
        """The noise images as arrays for a generator; None without any.

        Raises:
            InputError: if their names or shapes are not those of the generator.
        """
        if self.noise is None:
            return None
        base = without_class(generator)
        own = base.const_noise() if hasattr(base, "const_noise") else {}
        expected = {name: tuple(image.shape) for name, image in own.items()}
        images = self.noise
        if len(images) == len(own) and set(images) == {str(number) for number in range(len(own))}:
            images = {
                name: images[str(number)] for number, name in enumerate(own)
            }  # in the order of the layers
        if expected != {name: image.shape[1:] for name, image in images.items()}:
            raise InputError(f"{self.path}: expected noise images of this generator, found those of another")
        return {name: jnp.asarray(image) for name, image in images.items()}


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
        noise: noise images [height, width] or [1, height, width] by layer.

    Raises:
        InputError: if a noise image has another shape.
        OutputError: if the file cannot be written.
    """
    images = {f"{_NOISE}{name}": np.asarray(image, np.float32) for name, image in (noise or {}).items()}
    for name, image in images.items():
        if image.ndim == 3 and len(image) == 1:  # as `load_latent_file` gives them
            images[name] = image[0]
        elif image.ndim != 2:
            raise InputError(
                f"{name}: expected [height, width] or [1, height, width], got {list(image.shape)}"
            )
    arrays = {"w_plus": np.asarray(w_plus, np.float32), "quad": np.asarray(quad, np.float64), **images}
    return write_arrays(path, arrays, about, kind=_KIND)


def load_latent_file(path: str | Path, index: int | str | None = None) -> SavedLatent:
    """One latent from a file: W [w_dim] or [1, w_dim], W+ [num_ws, w_dim] or [1, num_ws, w_dim].

    The files of encoder4editing, PTI, ReStyle, HyperStyle, stylegan2-pytorch and NVIDIA's projectors are read as well
    (`jaxedit.latents.latent_entries` lists them). They are read as data, without PyTorch.

    Args:
        path: a `.npy`, `.npz`, `.pt` or `.pkl`; or a folder of `jaxedit project`, of which `latent.npz` is read.
        index: which latent of a file with several: its number, from 0, or its name.

    Raises:
        InputError: if the file is missing, damaged or no latent, holds more than one and no index is given, there is
            none of this index, or its numbers have another shape or are not finite.

    Examples:
        >>> import tempfile, numpy as np
        >>> from jaxedit.latents.latent_files import load_latent_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/projected_w.npz", w=np.zeros((1, 16, 512)))
        ...     load_latent_file(f"{folder}/projected_w.npz").w.shape
        (1, 16, 512)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/latents.npy", np.zeros((4, 18, 512)))
        ...     load_latent_file(f"{folder}/latents.npy", 2).w.shape
        (1, 18, 512)
    """
    path = as_path(path)
    if path.is_dir():
        path = path / LATENT_FILE
    tree, about = _read(path, index)
    own_noise = {}
    if isinstance(tree, dict):
        own_noise = {name: array for name, array in tree.items() if name.startswith(_NOISE)}
        tree = {name: part for name, part in tree.items() if name not in own_noise}
    entry = choose_entry(find_entries(tree), index, where=str(path))
    w = entry.array
    noise = {name.removeprefix(_NOISE): array for name, array in own_noise.items()}
    noise = noise or {str(number): image for number, image in enumerate(entry.noise)}
    for name, array, dims in [("w", w, (1, 2)), *((name, image, (2,)) for name, image in noise.items())]:
        if array.ndim not in dims or array.dtype.kind not in "fiu" or not array.size:
            raise InputError(
                f"{path}: {name}: expected numbers of shape [w_dim] or [num_ws, w_dim] (noise: [height, width]), "
                f"found {list(array.shape)} of {array.dtype}"
            )
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(array.astype(np.float32)).all()
        if not is_finite:
            raise InputError(f"{path}: {name}: expected finite numbers, found NaN or infinity")
    return SavedLatent(
        path,
        w[None].astype(np.float32),
        {name: image[None].astype(np.float32) for name, image in noise.items()} or None,
        about,
    )


def _read(path: Path, index: int | str | None) -> tuple[Any, dict[str, Any]]:
    """The arrays of a file, and the metadata if it is one of this library."""
    arrays, metadata = read_any_arrays(path, kind=_KIND, expected=_EXPECTED)
    if path.suffix != ".npz" or not isinstance(arrays, dict):
        return arrays, metadata
    if _FORMER_METADATA in arrays:
        metadata = _former_metadata(path, arrays.pop(_FORMER_METADATA))
    if index is None and not any(name.lower() in LATENT_KEYS for name in arrays):
        raise InputError(
            f"{path}: expected {_EXPECTED}, found an archive without w_plus or w; it holds {', '.join(arrays)}"
        )
    return arrays, metadata


def _former_metadata(path: Path, text: np.ndarray) -> dict[str, Any]:
    try:
        found = parse_json(str(text))
    except ValueError as error:
        raise InputError(f"{path}: damaged: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: damaged: expected metadata, found {type(found).__name__}")
    return found
