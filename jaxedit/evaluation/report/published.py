"""The main numbers of an evaluation in a small JSON file, which ships with a generator and fills tables of pages."""

import json
import math
from pathlib import Path
from typing import Any

from jaxedit.errors import InputError
from jaxedit.evaluation.report.page import Table
from jaxedit.evaluation.results import Evaluation
from jaxedit.evaluation.scores import BackgroundScores
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.regular_files import read_json

_FORMAT = 2


def main_numbers(evaluation: Evaluation, *, truncation_psi: float, seed: int) -> dict[str, Any]:
    """The main numbers: how the faces were drawn, and a row for each method and target; undefined ones are None."""
    rows = []
    for (method, attribute), cell in evaluation.cells.items():
        row: dict[str, Any] = {
            "method": method,
            "attribute": attribute,
            "reached": all(cell.reached),
            "leakage": cell.leakage.value,
            "leakage_low": cell.leakage.low,
            "leakage_high": cell.leakage.high,
            "leakage_floor": cell.leakage_floor,
            "absolute_leakage": cell.absolute_leakage.value,
            "identity": {name: estimate.value for name, estimate in cell.identity.items()},
            **({} if cell.perceptual is None else {"perceptual": cell.perceptual.value}),
            **({} if cell.background is None else _background_numbers(cell.background)),
            "monotone": cell.monotone_share.value,
            "target_change_rate": cell.rates.target_change.value,
            "attribute_preservation_rate": cell.rates.attribute_preservation.value,
            "identity_preservation": {
                name: estimate.value for name, estimate in cell.rates.identity_preservation.items()
            },
            "error_in_units": None
            if cell.calibration is None
            else cell.calibration.mean_absolute_error.value,
        }
        for name, scores in cell.independent.items():
            if scores.leakage is not None:
                row[f"leakage_by_{name}"] = scores.leakage.value
                row[f"leakage_by_{name}_low"] = scores.leakage.low
                row[f"leakage_by_{name}_high"] = scores.leakage.high
        rows.append(_plain(row))
    request = evaluation.request
    return {
        "format": _FORMAT,
        "generator": request.generator,
        "faces": request.num_faces,
        "seed": seed,
        "truncation_psi": truncation_psi,
        "change": request.change,
        "leakage_attributes": list(request.leakage_attributes),
        "pilot": request.pilot,
        "rows": rows,
    }


def _background_numbers(background: BackgroundScores) -> dict[str, float]:
    numbers = {"background_psnr": background.psnr.value}
    if background.perceptual is not None:
        numbers["background_perceptual"] = background.perceptual.value
    return numbers


def save_numbers(numbers: dict[str, Any], path: str | Path) -> Path:
    """Write them as JSON.

    Raises:
        OutputError: if the file cannot be written.
    """
    return write_atomically(path, (json.dumps(numbers, indent=1, allow_nan=False) + "\n").encode())


def load_numbers(path: str | Path) -> dict[str, Any]:
    """Read what `save_numbers` wrote.

    Raises:
        InputError: if the file is missing, damaged or newer.
    """
    try:
        numbers = read_json(path, expected="the numbers of an evaluation")
        if numbers["format"] > _FORMAT:
            raise InputError(
                f"{path}: written in format {numbers['format']}, this version reads up to {_FORMAT}"
            )
        if numbers["format"] == 1:  # has another name for the same list
            numbers["leakage_attributes"] = numbers.pop("judged")
        return {**numbers, "format": _FORMAT}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected the numbers of an evaluation: {error}") from error


def leakage_table(numbers: dict[str, Any]) -> Table:
    """A table of methods (rows) by targets (columns): leakage and identity distance. A dash: change not reached."""
    attributes = list(dict.fromkeys(row["attribute"] for row in numbers["rows"]))
    methods = list(dict.fromkeys(row["method"] for row in numbers["rows"]))
    cells = {(row["method"], row["attribute"]): row for row in numbers["rows"]}
    rows = []
    for method in methods:
        texts = []
        for attribute in attributes:
            row = cells.get((method, attribute))
            leakage = None if row is None or not row["reached"] else row["leakage"]
            identity = (
                None if leakage is None else next(iter(row["identity"].values()), None) if row else None
            )
            texts += ["–" if value is None else f"{value:.2f}" for value in (leakage, identity)]
        rows.append((method, *texts))
    head = [
        f"{attribute.replace('_', ' ')}, {what}"
        for attribute in attributes
        for what in ("leakage", "identity")
    ]
    return Table(
        f"In the image, {numbers['faces']} held-out faces at ±{numbers['change']:g} σ of the target",
        ("method", *head),
        tuple(rows),
    )


def _plain(value: Any) -> Any:
    """JSON values: NaN is null, numbers have four digits."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
