"""Latents in files: what projections write, and what edits read, of this library and of others."""

import dataclasses
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator
from jaxedit.storage.atomic import write_atomically

LATENT_FILE = "latent.npz"
DELTA_FILE = "delta.npz"

_ABOUT = "about"
_NOISE = "noise."
_EXPECTED = "expected a latent (a .npy, a .npz, or a folder of `jaxedit project`)"


@dataclasses.dataclass(frozen=True, eq=False)
class SavedLatent:
    """One latent, and what is known of it.

    Attributes:
        path: of the file.
        w: of W or W+.
        noise: noise images of a StyleGAN2, by layer, if the projection sought them too.
        about: what the file says of itself: "generator", "projection" (its settings), "quad", …; empty for a file of
            another origin.
    """

    path: Path
    w: Float[np.ndarray, "1 w_dim"] | Float[np.ndarray, "1 num_ws w_dim"]
    noise: dict[str, np.ndarray] | None
    about: dict[str, Any]

    @property
    def generator(self) -> str | None:
        """Name or folder of the generator that it is of, where the file tells."""
        name = self.about.get("generator")
        return name if isinstance(name, str) else None

    @property
    def delta(self) -> Path | None:
        """The file of the tuning that belongs to it: beside it."""
        path = self.path.parent / DELTA_FILE
        return path if self.path.name == LATENT_FILE and path.is_file() else None

    def of(self, generator: Generator) -> Float[Array, "1 w_dim"] | Float[Array, "1 num_ws w_dim"]:
        """The latent, for a generator.

        Raises:
            InputError: if it has not the generator's shape.
        """
        width, layers = generator.w_dim, generator.num_ws
        if self.w.shape[1:] not in ((width,), (layers, width)):
            raise InputError(
                f"{self.path}: expected numbers of shape [{width}] or [{layers}, {width}], found "
                f"{list(self.w.shape[1:])}"
            )
        return jnp.asarray(self.w)

    def noise_of(self, generator: Generator) -> dict[str, Array] | None:
        """The noise images, for a generator.

        Raises:
            InputError: if they are not this generator's.
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
    """Write a latent, which `load_latent_file` reads.

    Args:
        path: an `.npz`.
        w_plus: the latent.
        about: JSON-serializable: "generator" and whatever else is to be kept.
        quad: the crop's corners in the photograph, as `AlignedFace` gives them.
        noise: noise images [height, width] by layer.

    Raises:
        OutputError: if it cannot be written.
    """
    images = {f"{_NOISE}{name}": np.asarray(image, np.float32) for name, image in (noise or {}).items()}
    arrays: dict[str, Any] = {
        "w_plus": np.asarray(w_plus, np.float32),
        "quad": np.asarray(quad, np.float64),
        _ABOUT: np.asarray(json.dumps(about)),
        **images,
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return write_atomically(path, buffer.getvalue())


def load_latent_file(path: str | Path) -> SavedLatent:
    """One latent from a file: W [w_dim] or [1, w_dim], W+ [num_ws, w_dim] or [1, num_ws, w_dim].

    Args:
        path: a `.npy` with the numbers; an `.npz` with them as `w_plus` or `w` (as the official projector writes them);
            or a folder of `jaxedit project`, of which `latent.npz` is read.

    Raises:
        InputError: if there is none, the file is damaged or something else, or the numbers have another shape or are
            not finite.
    """
    path = Path(path)
    if path.is_dir():
        path = path / LATENT_FILE
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            arrays = {"w": loaded}
        else:
            with loaded:
                arrays = {name: loaded[name] for name in loaded.files}
    except FileNotFoundError:
        raise InputError(f"{path}: {_EXPECTED}, found nothing") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: {_EXPECTED}: {error}") from error
    w = arrays.get("w_plus", arrays.get("w"))
    if w is None:
        raise InputError(f"{path}: {_EXPECTED}, found an archive without w_plus or w")
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
        _about(path, arrays.get(_ABOUT)),
    )


def _about(path: Path, text: np.ndarray | None) -> dict[str, Any]:
    try:
        about = {} if text is None else json.loads(str(text))
    except ValueError as error:
        raise InputError(f"{path}: damaged: {error}") from error
    if not isinstance(about, dict):
        raise InputError(f"{path}: damaged: expected a description, found {type(about).__name__}")
    return about
