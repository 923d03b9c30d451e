"""Time from a generator to axes: labeling of latents, then the fit of a method.

Labeling is measured on some images and scaled to all of them, since all methods share the labels. The time of a fit is
kept beside the fitted method, so that it is known when the method is loaded again.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.reporting import Rows
from jaxedit.attributes.classifier import AttributeClassifier, as_argument
from jaxedit.generators.protocol import Generator
from jaxedit.storage.atomic import write_atomically

_TIMED_BATCHES = 4


def seconds_of_labeling(
    generator: Generator, classifier: AttributeClassifier, w: np.ndarray, *, batch_size: int
) -> float:
    """Seconds of rendering and reading one image, without compilation: the median of some batches.

    Args:
        generator: makes the images.
        classifier: reads them.
        w: latents of W, `batch_size` or more.
        batch_size: images at once.
    """

    @jax.jit
    def read(generator: Generator, classifier: Any, w: jax.Array) -> jax.Array:
        return classifier(jnp.clip(generator.synthesis(w), -1, 1))

    some = jnp.asarray(w[:batch_size])
    network, times = as_argument(classifier), []
    for _ in range(1 + _TIMED_BATCHES):
        start = time.perf_counter()
        read(generator, network, some).block_until_ready()
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:])) / len(some)


def keep_seconds(folder: Path, seconds: float) -> None:
    """Write the time of a fit beside the folder of the method."""
    write_atomically(_file(folder), (json.dumps({"seconds": seconds}) + "\n").encode())


def kept_seconds(folder: Path) -> float | None:
    """The time of a fit; None where an earlier version of the script fitted the method."""
    path = _file(folder)
    return float(json.loads(path.read_text())["seconds"]) if path.is_file() else None


def _file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-seconds.json")


def time_rows(methods: Sequence[dict[str, Any]], num_labels: int, seconds_a_label: float) -> Rows:
    """A row for each method: labeling, fit, and both. What is not known stays empty.

    Args:
        methods: rows with the `method` and, of those that were fitted here, `fit_seconds`. Other methods came
            without a time.
        num_labels: how many latents the methods are fitted to.
        seconds_a_label: of labeling one of them.
    """
    labeling = num_labels * seconds_a_label
    rows: Rows = []
    for method in methods:
        row: dict[str, Any] = {"method": method["method"]}
        fit = method.get("fit_seconds")
        if fit is not None:
            row |= {
                "labels": num_labels,
                "labeling [s]": labeling,
                "fit [s]": fit,
                "to axes [s]": labeling + fit,
            }
        rows.append(row)
    return rows
