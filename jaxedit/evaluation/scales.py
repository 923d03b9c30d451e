"""Scales: maps from raw values of an evaluator to standard deviations over unedited faces.

Each column of each network has a quantile transform of its own, fitted to a reference population and the unedited
faces.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.errors import InputError
from jaxedit.evaluation.config import EvaluationRequest
from jaxedit.evaluation.evaluators import Evaluators
from jaxedit.evaluation.readings import SCALES, Readings
from jaxedit.evaluation.unit_arrays import scale_arrays
from jaxedit.labels.quantile_transform import QuantileTransform, fit_quantile_transform
from jaxedit.storage.runs import RunFolder

_BLOCK = 512
_FIELDS = ("values", "positions", "slopes")


def fit_scales(
    names: Sequence[str],
    unedited: Float[np.ndarray, "num_faces num_columns"],
    reference: Mapping[str, Float[Array | np.ndarray, " num_reference"]],
) -> QuantileTransform:
    """The scales of a network's columns: by the reference values of a column, or else by the unedited faces.

    Raises:
        InputError: if the values of a column do not vary.
    """
    parts: list[QuantileTransform] = []
    for column, name in enumerate(names):
        values = np.asarray(reference[name] if name in reference else unedited[:, column], np.float32)
        parts.append(fit_quantile_transform(values[:, None], [name]))
    return jax.tree.map(lambda *tables: jnp.concatenate(tables), *parts)


def scales_of(evaluators: Evaluators, unedited: Readings) -> dict[str, QuantileTransform]:
    """The scales of all networks that measure attributes, by the key of their readings.

    Raises:
        InputError: if the values of a column do not vary.
    """
    names = tuple(evaluators.classifier.names)
    scales = {"values": fit_scales(names, unedited["values"], evaluators.reference_values())}
    for name, networks in evaluators.independent.items():
        key = f"independent.{name}"
        values = unedited[key]
        if networks.reference is not None:
            values = np.concatenate([values, np.asarray(networks.reference, np.float32)])
        scales[key] = fit_scales(networks.columns, values, {})
    return scales


def in_standard_deviations(
    scale: QuantileTransform, values: Float[Array | np.ndarray, "*batch num_columns"]
) -> Float[np.ndarray, "*batch num_columns"]:
    """`QuantileTransform.transform` in blocks of one size: one compilation for any number of faces and amounts."""
    rows = np.asarray(values, np.float32).reshape(-1, values.shape[-1])
    padded = np.concatenate([rows, np.zeros((-len(rows) % _BLOCK, rows.shape[1]), np.float32)])
    blocks = [np.asarray(scale.transform(block)) for block in padded.reshape(-1, _BLOCK, rows.shape[1])]
    return np.concatenate(blocks)[: len(rows)].reshape(values.shape).astype(np.float64)


def save_scales(run: RunFolder, scales: Mapping[str, QuantileTransform]) -> None:
    """Keep the scales, for `load_scales`.

    Raises:
        OutputError: if the file cannot be written.
    """
    tables = {
        f"{name}/{field}": np.asarray(getattr(scale, field))
        for name, scale in scales.items()
        for field in _FIELDS
    }
    run.write(SCALES, tables, compressed=True)


def load_scales(
    run: RunFolder, request: EvaluationRequest, names: Sequence[str]
) -> dict[str, QuantileTransform]:
    """The scales that `save_scales` kept.

    Args:
        run: the folder.
        request: what was asked for.
        names: keys of the readings of networks.

    Raises:
        InputError: if they are not there, or damaged.
    """
    tables = run.read(SCALES, arrays=scale_arrays(request, _FIELDS))
    if tables is None:
        raise InputError(
            f"{run.path}: expected the scales of an evaluation ({SCALES}.npz), found none, or damaged ones; start the "
            "evaluation again with this folder"
        )
    return {
        name: QuantileTransform(**{field: jnp.asarray(tables[f"{name}/{field}"]) for field in _FIELDS})
        for name in names
    }
