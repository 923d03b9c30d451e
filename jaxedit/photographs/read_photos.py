"""Faces of photographs, read: values with uncertainties, how unusual a face is, and what the generator cannot draw."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8
from tqdm.auto import tqdm

from jaxedit.attributes.classifier import AttributeClassifier, as_argument
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator
from jaxedit.images import from_pixels, save_image
from jaxedit.inversion.face_limits import FaceLimits
from jaxedit.inversion.photo import Photo, load_photo
from jaxedit.inversion.project_photos import PhotoProjectionConfig, project_photos
from jaxedit.inversion.projection_folder import RECONSTRUCTION, PhotoFolder, at_side, side_by_side
from jaxedit.latents.latent_files import load_latent_file
from jaxedit.photographs.readings_page import write_page
from jaxedit.photographs.tables import write_csv
from jaxedit.photographs.unexplained import heat_image, strongest_spot, unexplained_map
from jaxedit.photographs.unusual import mahalanobis_length, percentile, reference_lengths
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.paths import as_path

TABLE_FILE, JSON_FILE, PAGE_FILE = "readings.csv", "readings.json", "index.html"
UNEXPLAINED, COMPARED = "unexplained.png", "reading.jpg"
_SHOWN_SIDE = 256

GENERAL_COLUMNS = (
    "photo",
    "face",
    "problem",
    "unusual",
    "lpips",
    "psnr",
    "identity",
    "spot",
    "spot_x",
    "spot_y",
)
"""Columns that every table has. Each attribute adds four: its reading from the latent under its own name, the ends of
its interval as `NAME low` and `NAME high`, and what the network reads of the crop itself as `NAME network`."""


@dataclasses.dataclass(frozen=True)
class PhotoReadings:
    """Result of `read_photos`.

    Attributes:
        rows: one for each face, sorted; column → value, None where there is none.
        columns: of the table, in its order.
        table: the CSV.
        json: the same as JSON, with the units.
        page: the HTML page.
        failures: photograph or folder → why it was not read.
    """

    rows: tuple[dict[str, Any], ...]
    columns: tuple[str, ...]
    table: Path
    json: Path
    page: Path
    failures: dict[Path, str]


def read_photos(
    photos: Sequence[str | Path | Photo],
    out: str | Path,
    generator: Generator,
    axes: AttributeAxes,
    config: PhotoProjectionConfig,
    *,
    generator_name: str,
    classifier: AttributeClassifier | None = None,
    sort: str = "photo",
) -> PhotoReadings:
    """Project the faces of photographs and read them.

    Each face gets a folder OUT/NAME, as from `project_photos`, with the map of what the generator cannot draw
    (`unexplained.png`). `readings.csv`, `readings.json` and `index.html` have for each face:

    - every attribute of the axes in its unit, read from the projected latent, and an interval that holds the label of
      about two thirds of held-out generated faces with this reading: of the correlation r of axis and label, the
      position on the axis ± √(1 − r²). Photographs may deviate more;
    - what `classifier` reads of the crop itself, for attributes of the same name and unit;
    - `unusual`: the Mahalanobis length in the PCA of W as a percentile of the generator's own latents;
    - `lpips`, `psnr` and `identity` between crop and reconstruction; `spot`, `spot_x` and `spot_y`: strength and place
      of the least explained place in the face;
    - `problem`: whether the face is too small, turned or hidden, so that its readings mean little.

    Interrupted runs resume.

    Args:
        photos: files.
        out: the folder, new or of an earlier run.
        generator: makes the images.
        axes: of this generator.
        config: settings of the projection. Its limits only say which faces have a problem.
        generator_name: its registered name or folder, which the files keep.
        classifier: reads the crops too, for example `FaceAttributes()`.
        sort: column by which the rows are sorted: texts from A to Z, numbers from the largest.

    Raises:
        InputError: if the column is unknown, or as `project_photos` does.
        OutputError: if a file cannot be written.
        DownloadError: if a network cannot be fetched.
    """
    out = as_path(out)
    names = _columns_of(axes, classifier)
    columns = (*GENERAL_COLUMNS, *(column for group in names.values() for column in group if column))
    if sort not in columns:
        raise InputError(f"sort: expected one of {', '.join(columns)}, got {sort!r}")
    if not photos:
        raise InputError("photos: expected one or more, got none")
    limits = config.limits or FaceLimits()
    without_limits = dataclasses.replace(config, limits=None)
    summary = project_photos(photos, out, generator, without_limits, generator_name=generator_name)
    references = reference_lengths(generator, axes.pca)
    rows = []
    for path, metrics in tqdm(summary.metrics.items(), desc="reading", unit="face", file=sys.stderr):
        folder = PhotoFolder(path)
        w = np.asarray(load_latent_file(path).of(generator))
        row = {**_place(folder, limits), **_quality(metrics), **_explained(folder)}
        row["unusual"] = percentile(float(mahalanobis_length(w, axes.pca)[0]), references)
        row |= _of_latent(axes, w)
        if classifier is not None:
            row |= _of_crop(axes, classifier, folder.crop())
        rows.append({column: row.get(column) for column in (*columns, "folder")})
    rows.sort(key=lambda row: _order(row[sort]))
    units = dict(zip(axes.attribute_names, axes.attribute_units, strict=True))
    document = {"units": units, "sorted_by": sort, "faces": rows}
    failures = {str(path): reason for path, reason in summary.failures.items()}
    text = json.dumps(document | {"failures": failures}, indent=1, ensure_ascii=True)
    return PhotoReadings(
        rows=tuple(rows),
        columns=columns,
        table=write_csv(out / TABLE_FILE, rows, columns),
        json=write_atomically(out / JSON_FILE, (text + "\n").encode()),
        page=write_page(out / PAGE_FILE, rows, units, summary.failures, sort),
        failures=summary.failures,
    )


def reading_intervals(
    axes: AttributeAxes, values: Float[np.ndarray, "batch num_attributes"]
) -> tuple[Float[np.ndarray, "batch num_attributes"], Float[np.ndarray, "batch num_attributes"]]:
    """Ends of intervals about readings of latents, in the unit of each attribute.

    Args:
        axes: whose report has the correlations of axes and labels on held-out latents.
        values: from `axes.read`.
    """
    correlation = np.clip(np.nan_to_num(np.asarray(axes.report.axis_label_correlation)), 0, 1)
    spread = np.sqrt(1 - correlation**2)
    transform = axes.quantile_transform
    positions = np.asarray(transform.transform(values))
    low, high = (
        np.asarray(transform.inverse_transform(jnp.asarray(positions + way * spread, jnp.float32)))
        for way in (-1, 1)
    )
    return low, high


def _columns_of(
    axes: AttributeAxes, classifier: AttributeClassifier | None
) -> dict[str, tuple[str, str, str, str]]:
    """Attribute → the columns of its reading, of the two ends, and of the network or ""."""
    shared = _shared(axes, classifier)
    return {
        name: (name, f"{name} low", f"{name} high", f"{name} network" if name in shared else "")
        for name in axes.attribute_names
    }


def _shared(axes: AttributeAxes, classifier: AttributeClassifier | None) -> dict[str, int]:
    """Attributes that the classifier reads in the unit of the axes, with their columns."""
    if classifier is None:
        return {}
    known = tuple(classifier.names)
    units = tuple(getattr(classifier, "units", ("",) * len(known)))
    return {
        name: known.index(name)
        for name, unit in zip(axes.attribute_names, axes.attribute_units, strict=True)
        if name in known and units[known.index(name)] in ("", unit)
    }


def _place(folder: PhotoFolder, limits: FaceLimits) -> dict[str, Any]:
    photo = folder.photo() or {}
    return {
        "photo": photo.get("photo", folder.path.name),
        "face": photo.get("face", 1),
        "problem": limits.problem(folder.place()),
        "folder": folder.path.name,
    }


def _quality(metrics: Mapping[str, Any]) -> dict[str, Any]:
    quality = metrics["metrics"]
    return {"lpips": quality["lpips"], "psnr": quality["psnr_256"], "identity": quality.get("identity")}


def _explained(folder: PhotoFolder) -> dict[str, Any]:
    """The least explained place; the map and a sheet are written."""
    crop, reconstruction = folder.crop(), load_photo(folder.path / RECONSTRUCTION, min_side=32)
    heat = unexplained_map(crop, reconstruction)
    spot = strongest_spot(heat)
    small = at_side(crop, _SHOWN_SIDE)
    drawn = heat_image(small, heat)
    save_image(drawn, folder.path / UNEXPLAINED)
    save_image(side_by_side(small, at_side(reconstruction, _SHOWN_SIDE), drawn), folder.path / COMPARED)
    return {"spot": spot.strength, "spot_x": spot.x, "spot_y": spot.y}


def _of_latent(axes: AttributeAxes, w: Float[np.ndarray, "one *num_ws w_dim"]) -> dict[str, float]:
    values = np.asarray(axes.read(w, pivot=w if w.ndim == 3 else None))
    low, high = reading_intervals(axes, values)
    row: dict[str, float] = {}
    for i, name in enumerate(axes.attribute_names):
        ends = {f"{name} low": float(low[0, i]), f"{name} high": float(high[0, i])}
        row |= {name: float(values[0, i]), **ends}
    return row


def _of_crop(
    axes: AttributeAxes, classifier: AttributeClassifier, crop: UInt8[np.ndarray, "side side 3"]
) -> dict[str, float]:
    values = np.asarray(_classified(as_argument(classifier), jnp.asarray(crop)[None]))[0]
    return {f"{name} network": float(values[i]) for name, i in _shared(axes, classifier).items()}


@jax.jit
def _classified(classifier: Any, crops: jax.Array) -> jax.Array:
    return classifier(from_pixels(crops))


def _order(value: Any) -> tuple[int, float, str]:
    """Numbers from the largest, then texts, then what is missing."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return (2, 0.0, "")
    return (0, -float(value), "") if isinstance(value, int | float) else (1, 0.0, str(value))
