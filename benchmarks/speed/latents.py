"""Speed of PCA (against scikit-learn), the quantile transform (against a double loop) and a single edit.

    python -m benchmarks.speed.latents
    python -m benchmarks.speed.latents --json results.json

Needs the extra `benchmark`.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer
from scipy.stats import norm
from sklearn import decomposition

from benchmarks.reporting import Rows, finish, measure, measure_side_by_side
from jaxedit.axes import fit_pca
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.labels.quantile_transform import fit_quantile_transform
from jaxedit.latents.seed_stream import sample_w
from jaxedit.pretrained.registry import load_axes, load_generator


def pca(num_samples: int) -> Rows:
    """PCA of W with 60 of 512 components, and the largest relative error of its variances."""
    w = sample_w(load_generator("mobile-stylegan-ffhq"), 1, num_samples)
    ours = jnp.asarray(w)
    ways: dict[str, Callable[[], Any]] = {
        "jaxedit": lambda: fit_pca(ours, num_components=60),
        "jaxedit (accurate)": lambda: fit_pca(ours, num_components=60, accurate=True),
        "scikit-learn (full)": lambda: decomposition.PCA(60, svd_solver="full").fit(w),
        "scikit-learn (covariance)": lambda: decomposition.PCA(60, svd_solver="covariance_eigh").fit(w),
    }
    times = measure_side_by_side(ways, repeats=5)
    exact = decomposition.PCA(60, svd_solver="full").fit(w.astype(np.float64)).explained_variance_
    rows: Rows = []
    for name, own in times.items():
        found = ways[name]()
        variances = found.explained_variance_ if "scikit" in name else found.explained_variance
        rows.append(
            {
                "PCA": name,
                "samples": num_samples,
                "median s": own["median"],
                "first s": own["first"],
                "time ratio jaxedit / this": times["jaxedit"]["median"] / own["median"],
                "largest relative error of the variances": float(
                    np.abs(np.asarray(variances)[:60] / exact - 1).max()
                ),
            }
        )
    return rows


def _double_loop(values: np.ndarray) -> np.ndarray:
    """Normal scores, one value at a time: the share of smaller samples, then the normal quantile of that share."""
    out = np.empty_like(values)
    for j in range(values.shape[1]):
        column = np.sort(values[:, j])
        for i in range(len(values)):
            rank = np.searchsorted(column, values[i, j])
            out[i, j] = norm.ppf((rank + 0.5) / len(values))
    return out


def quantile_transform(num_samples: int, num_attributes: int, loop_samples: int) -> Rows:
    """Fit and transform of random skewed labels. The time of the double loop is extrapolated from a few labels."""
    values = np.random.RandomState(0).gamma(2.0, size=(num_samples, num_attributes)).astype(np.float32)
    ours = jnp.asarray(values)
    names = tuple(f"attribute {i}" for i in range(num_attributes))
    fitted = measure(lambda: fit_quantile_transform(ours, names).transform(ours))
    few = values[:loop_samples, :2]
    start = time.perf_counter()
    _double_loop(few)
    loop = (time.perf_counter() - start) * values.size / few.size
    return [
        {
            "quantile transform": "jaxedit, fit and transform",
            "labels": f"{num_samples} × {num_attributes}",
            "seconds": fitted["median"],
            "first s": fitted["first"],
        },
        {
            "quantile transform": f"double loop (extrapolated from {few.size} labels)",
            "labels": f"{num_samples} × {num_attributes}",
            "seconds": loop,
        },
    ]


def edit_latency(axes: AttributeAxes, batch_sizes: tuple[int, ...] = (1, 1024)) -> Rows:
    """One call of `axes.edit`, from Python to the edited latents, without synthesis."""
    rows: Rows = []
    w = sample_w(load_generator("mobile-stylegan-ffhq"), 2, max(batch_sizes))
    for batch in batch_sizes:
        latents = jax.device_put(jnp.asarray(w[:batch]))
        times = measure(lambda latents=latents: axes.edit(latents, {"age": 1.0, "smile": -0.5}), repeats=51)
        rows.append(
            {
                "edit of": f"{batch} latents",
                "median ms": 1e3 * times["median"],
                "min ms": 1e3 * times["min"],
                "first s": times["first"],
            }
        )
    return rows


def main(
    num_samples: Annotated[
        int, typer.Option(help="number of latents for the PCA and of labels for the quantile transform")
    ] = 20_000,
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
) -> None:
    """Measure PCA, the quantile transform and the latency of an edit."""
    results = {
        "PCA of W, 512 dimensions": pca(num_samples),
        "quantile transform": quantile_transform(num_samples, 40, min(1000, num_samples)),
        "edit": edit_latency(load_axes("mobile-stylegan-ffhq")),
    }
    finish("latents", results, json, ["scikit-learn", "numpy"])


if __name__ == "__main__":
    typer.run(main)
