"""What the folder of an evaluation holds.

    job.json                                    what was asked for (`Job`)
    measurements/unedited.npz                   readings of the unedited faces
    measurements/scales.npz                     the maps from raw values to positions of each network
    measurements/METHOD/ATTRIBUTE/UNIT.npz      readings of edited faces, [num_amounts, num_faces, ...]
    measurements/METHOD/ATTRIBUTE/images.npz  small images for contact sheets; likewise unedited_images.npz

A unit (`search`, `refined-1`, `refined-2`, `faces`, `slider`, `calibration`) holds `amounts`; raw values, "values" of
the classifier and "judge.NAME" of each judge; distances from the unedited face, "identity.NAME" and "perceptual"; and
under "when.NAME" the circumstances it was read under: under others it is read again. It appears when it is whole.
"""

import dataclasses
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.errors import InputError
from jaxedit.labels.quantile_transform import QuantileTransform, fit_quantile_transform
from jaxedit.storage.atomic import write_atomically

JOB_FILE = "job.json"
FORMAT = 1
_BLOCK = 512

Reading = dict[str, np.ndarray]
"""What all networks say of images, a row each: "values", "judge.NAME", and, relative to the unedited face,
"identity.NAME" and "perceptual"."""

_TOLERANCE = 1e-3
"""Of what is compared between runs, relative to its standard deviation: the last digits depend on the machine."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What was asked for, as `job.json` keeps it.

    Attributes:
        generator: its name.
        panel: what reads the images: columns of the classifier and the judges, names of other networks.
        units: of the classifier's columns.
        judge_attributes: for each judge, the attribute that each column stands for.
        num_faces: how many.
        pilot: how many of them are read along all amounts.
        methods: the attributes that each method was asked to move.
        attribute_names: all targets.
        judged: attributes whose leakage counts.
        change: equal change, in standard deviations.
        seed: of the resamples.
        num_resamples: how many.
    """

    generator: str
    panel: Mapping[str, Any]
    units: tuple[str, ...]
    judge_attributes: Mapping[str, Sequence[str]]
    num_faces: int
    pilot: int
    methods: Mapping[str, Sequence[str]]
    attribute_names: tuple[str, ...]
    judged: tuple[str, ...]
    change: float
    seed: int
    num_resamples: int

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of the classifier's columns."""
        return tuple(self.panel["classifier"])

    def save(self, out: Path) -> None:
        """Write `job.json`."""
        content = {"format": FORMAT, **dataclasses.asdict(self)}
        write_atomically(out / JOB_FILE, (json.dumps(content, indent=2) + "\n").encode())

    @classmethod
    def load(cls, out: Path) -> "Job":
        """Read `job.json`.

        Raises:
            InputError: if the folder has none, or it is damaged or of another format.
        """
        path = out / JOB_FILE
        try:
            content = json.loads(path.read_text())
            if content.pop("format") != FORMAT:
                raise InputError(f"{path}: written by another version of jaxedit; give another folder")
            for name in ("units", "attribute_names", "judged"):
                content[name] = tuple(content[name])
            return cls(**content)
        except FileNotFoundError:
            raise InputError(f"{out}: expected a folder of an evaluation") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: damaged: {error}") from error


def unit_path(out: Path, method: str, attribute: str, unit: str) -> Path:
    """Where the readings of one method, attribute and purpose lie."""
    return out / "measurements" / folder_name(method) / folder_name(attribute) / f"{unit}.npz"


def folder_name(name: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^\w.+=-]+", "_", name).strip(".") or "_"


def unedited_path(out: Path) -> Path:
    """Where the readings of the unedited faces lie."""
    return out / "measurements" / "unedited.npz"


def unedited_images_path(out: Path) -> Path:
    """Where small images of the first unedited faces lie."""
    return out / "measurements" / "unedited_images.npz"


def fit_scales(
    names: Sequence[str],
    unedited: Float[np.ndarray, "num_faces num_columns"],
    reference: Mapping[str, Float[Array | np.ndarray, " num_reference"]],
) -> QuantileTransform:
    """Positions of raw values: of each column by its reference values, or by the unedited faces.

    Raises:
        InputError: if the values of a column do not vary.
    """
    parts: list[QuantileTransform] = []
    for column, name in enumerate(names):
        values = np.asarray(reference[name] if name in reference else unedited[:, column], np.float32)
        parts.append(fit_quantile_transform(values[:, None], [name]))
    return jax.tree.map(lambda *tables: jnp.concatenate(tables), *parts)


def positions_of(
    scale: QuantileTransform, values: Float[Array | np.ndarray, "*batch num_columns"]
) -> Float[np.ndarray, "*batch num_columns"]:
    """`QuantileTransform.transform` in blocks of one size: one compilation whatever the number of faces and amounts."""
    rows = np.asarray(values, np.float32).reshape(-1, values.shape[-1])
    padded = np.concatenate([rows, np.zeros((-len(rows) % _BLOCK, rows.shape[1]), np.float32)])
    blocks = [np.asarray(scale.transform(block)) for block in padded.reshape(-1, _BLOCK, rows.shape[1])]
    return np.concatenate(blocks)[: len(rows)].reshape(values.shape).astype(np.float64)


def save_scales(out: Path, scales: Mapping[str, QuantileTransform]) -> None:
    """Keep the maps from raw values to positions, for `Evaluation.load`."""
    tables = {
        f"{name}/{field}": np.asarray(getattr(scale, field))
        for name, scale in scales.items()
        for field in ("values", "positions", "slopes")
    }
    write_unit(out / "measurements" / "scales.npz", tables, {})


def load_scales(out: Path, names: Sequence[str]) -> dict[str, QuantileTransform]:
    """What `save_scales` wrote.

    Raises:
        InputError: if it is not there.
    """
    tables = read_unit(out / "measurements" / "scales.npz", {}) or {}
    try:
        return {
            name: QuantileTransform(
                values=jnp.asarray(tables[f"{name}/values"]),
                positions=jnp.asarray(tables[f"{name}/positions"]),
                slopes=jnp.asarray(tables[f"{name}/slopes"]),
            )
            for name in names
        }
    except KeyError as error:
        raise InputError(f"{out}: expected a folder of an evaluation, {error} is missing") from None


def read_unit(path: Path, circumstances: Mapping[str, np.ndarray]) -> Reading | None:
    """A unit that was read under the same circumstances; None if there is none, or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            unit = {key: file[key] for key in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    for key, wanted in circumstances.items():
        found, wanted = unit.get(f"when.{key}"), np.asarray(wanted)
        if found is None or found.shape != wanted.shape or not near(found, wanted):
            return None
    return unit


def near(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether numbers are those of an earlier run, of this or another machine."""
    return bool(
        np.allclose(found, wanted, rtol=_TOLERANCE, atol=_TOLERANCE * max(float(np.std(wanted)), 1e-3))
    )


def write_unit(path: Path, reading: Reading, circumstances: Mapping[str, np.ndarray]) -> None:
    """Keep a unit.

    Raises:
        OutputError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    when = {f"when.{key}": np.asarray(value) for key, value in circumstances.items()}
    np.savez_compressed(buffer, **reading, **when)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())
