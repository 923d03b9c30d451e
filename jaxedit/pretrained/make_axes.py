"""The shipped axes of a known generator, made again from its shipped labels:

    python -m jaxedit.pretrained.make_axes mobile-stylegan-ffhq

This learns axes with the default settings (half a minute on two CPU cores) and writes the file that `load_axes`
reads. The result is deterministic; between machines it differs by rounding.
"""

import argparse
import sys
from pathlib import Path

import jax
import numpy as np

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.checkpoint import to_checkpoint
from jaxedit.axes.config import AxesConfig
from jaxedit.axes.learning.learn import learn_axes
from jaxedit.latents.pca import fit_pca
from jaxedit.pretrained.known_generators import KNOWN_GENERATORS, data_path
from jaxedit.pretrained.registry import AXES_KIND, load_labelled_latents
from jaxedit.storage.array_trees import write_array_tree

_LARGE = 10_000
"""Size from which an array is kept in half precision: the matrices, which make nearly all of the file."""


def learn_default_axes(name: str, *, progress: bool = True) -> AttributeAxes:
    """Axes of a known generator from its shipped labels, with the default settings and without curves.

    Raises:
        DownloadError: if the generator cannot be fetched.
    """
    dataset = load_labelled_latents(name)
    return learn_axes(dataset, fit_pca(dataset.w, accurate=True), AxesConfig(), progress=progress)


def write_axes(axes: AttributeAxes, path: str | Path) -> Path:
    """Write axes to one small file: large arrays in half precision, compressed.

    Raises:
        OutputError: if the file cannot be written.
    """
    config, arrays = to_checkpoint(axes)
    return write_array_tree(path, config, jax.tree.map(_halved, arrays), kind=AXES_KIND, compressed=True)


def _halved(array: jax.Array | np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    return array.astype(np.float16) if array.size >= _LARGE and array.dtype == np.float32 else array


def main() -> None:
    """Parse the command line, learn, write."""
    parser = argparse.ArgumentParser(
        prog="python -m jaxedit.pretrained.make_axes", description="Make shipped axes again."
    )
    parser.add_argument("name", nargs="?", choices=[*KNOWN_GENERATORS], default=next(iter(KNOWN_GENERATORS)))
    parser.add_argument("--out", type=Path, help="file, by default that of the package")
    arguments = parser.parse_args()
    out = arguments.out or data_path(KNOWN_GENERATORS[arguments.name].axes)
    write_axes(learn_default_axes(arguments.name), out)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
