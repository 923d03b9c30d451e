"""Many photographs, edited in one resumable run, with a table of the results and a page."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from jaxedit.attributes.person.places import ATTRIBUTE_PLACES, FacePlaces
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.edit_readings import edit_with_readings
from jaxedit.axes.editing import Edit, Units
from jaxedit.axes.in_places import draw_in_places, stages_of
from jaxedit.errors import InputError, OutputError
from jaxedit.evaluation.report.page import PageImage, Section, Table, write_report
from jaxedit.generators.protocol import Generator
from jaxedit.generators.render import render
from jaxedit.images import save_image, to_uint8
from jaxedit.inversion.photo import Photo
from jaxedit.inversion.project_photos import PhotoProjectionConfig, project_photos
from jaxedit.inversion.projection_folder import (
    RECONSTRUCTION,
    TUNED,
    PhotoFolder,
    at_side,
    load_delta,
    side_by_side,
)
from jaxedit.inversion.records import read_record, write_record
from jaxedit.latents.latent_files import load_latent_file
from jaxedit.photographs.paste_faces import paste_faces, paths_by_content
from jaxedit.photographs.tables import address, cell_text, shown_name, write_csv
from jaxedit.storage.paths import as_path

EDITED, COMPARED, EDIT_FILE = "edited.png", "edited.jpg", "edit.json"
TABLE_FILE, PAGE_FILE = "results.csv", "index.html"
_SHOWN_SIDE = 384  # pixels a side of the images of the page


@dataclasses.dataclass(frozen=True)
class PhotoEdits:
    """The edits that every face gets.

    Attributes:
        amounts: attribute → amount, as for `AttributeAxes.edit`.
        absolute: whether amounts are values to reach.
        units: of the amounts.
        layers: layers of W+ to change; None for all.
        in_places: whether each attribute changes the face at its own place alone (`jaxedit.edit_in_places`).
        pastes: whether the edited faces are pasted back into their photographs.
        keep_position: whether the photographs keep their GPS position.
    """

    amounts: Mapping[str, float]
    absolute: bool = False
    units: Units = "std"
    layers: Sequence[int] | None = None
    in_places: bool = True
    pastes: bool = True
    keep_position: bool = False

    def describe(self) -> dict[str, Any]:
        """The edits; JSON-serializable."""
        return {
            "amounts": dict(self.amounts),
            "absolute": self.absolute,
            "units": self.units,
            "layers": None if self.layers is None else list(self.layers),
            "in_places": self.in_places,
        }


@dataclasses.dataclass(frozen=True)
class EditedPhotos:
    """Result of `edit_photos`.

    Attributes:
        table: the CSV.
        page: the HTML page.
        edited: the photographs with their edited faces; the edited faces, if they are not pasted.
        failures: photograph or folder → why it was not edited or not pasted.
    """

    table: Path
    page: Path
    edited: tuple[Path, ...]
    failures: dict[Path, str]


def edit_photos(
    photos: Sequence[str | Path | Photo],
    out: str | Path,
    generator: Generator,
    axes: AttributeAxes,
    edits: PhotoEdits,
    config: PhotoProjectionConfig,
    *,
    generator_name: str,
    progress: bool = True,
) -> EditedPhotos:
    """Project the faces of photographs and edit them alike.

    Each face gets a folder OUT/NAME, as from `project_photos`, with the edited face (`edited.png`). The photograph with
    all its edited faces is OUT/NAME.ENDING, in its own format. `results.csv` has a row for each face: whether it was
    edited, and if not, why; the quality of its reconstruction; its value of each edited attribute before and after;
    which part of the photograph changed. `index.html` shows them. Interrupted runs resume; finished faces are skipped,
    unless the settings have changed. A face beyond `config.limits` and a photograph that cannot be read do not stop the
    others.

    Args:
        photos: files.
        out: the folder, new or of an earlier run.
        generator: makes the images.
        axes: of this generator.
        edits: the same for every face.
        config: settings of the projection, and the limits of faces.
        generator_name: its registered name or folder, which the files keep.
        progress: whether to show bars.

    Raises:
        InputError: if an attribute is unknown, or as `project_photos` does.
        OutputError: if a file cannot be written.
        DownloadError: if a network cannot be fetched.
    """
    out = as_path(out)
    Edit.of(edits.amounts, axes.attribute_names, units=edits.units)  # before the work
    # As paths: what is read of one photograph is forgotten before the next.
    files = [photo.path if isinstance(photo, Photo) else as_path(photo) for photo in photos]
    if not files:
        raise InputError("photos: expected one or more, got none")
    summary = project_photos(files, out, generator, config, generator_name=generator_name, progress=progress)
    request = {**edits.describe(), "axes": axes.fingerprint()}
    if config.tuning is not None:  # edited with a generator of its own
        request["tuning"] = dataclasses.asdict(config.tuning)
    rows = []
    has_places = edits.in_places and any(name in ATTRIBUTE_PLACES for name in edits.amounts)
    places = FacePlaces.from_pretrained() if has_places and summary.metrics else None
    bar = tqdm(summary.metrics.items(), desc="editing", unit="face", disable=not progress, file=sys.stderr)
    for path, metrics in bar:
        rows.append(_edited(PhotoFolder(path), metrics, (generator, places), axes, edits, request))
    if edits.pastes and not config.is_aligned:
        shown = RECONSTRUCTION if config.tuning is None else TUNED
        _paste(rows, files, out, edits, shown, progress=progress)
    rows += [_left_out(path, reason, out) for path, reason in summary.failures.items()]
    columns = ["photo", "face", "status", "reason", "lpips", "psnr", "identity"]
    columns += [f"{name} {when}" for name in edits.amounts for when in ("before", "after")]
    columns += ["changed", "face_file", "file"]
    rows.sort(key=lambda row: (str(row["photo"]), int(row["face"] or 0)))
    table = write_csv(out / TABLE_FILE, rows, columns)
    page = _write_page(out / PAGE_FILE, rows, edits, axes)
    done = tuple(dict.fromkeys(out / row["file"] for row in rows if row["status"] == "edited"))
    not_pasted = {out / row["folder"]: str(row["reason"]) for row in rows if row["status"] == "not pasted"}
    return EditedPhotos(table, page, done, summary.failures | not_pasted)


def _edited(
    folder: PhotoFolder,
    metrics: Mapping[str, Any],
    draws: tuple[Generator, FacePlaces | None],
    axes: AttributeAxes,
    edits: PhotoEdits,
    request: dict[str, Any],
) -> dict[str, Any]:
    """The row of a face that was edited, now or by an earlier run."""
    photo = folder.photo() or {}
    request = {**request, "projection": metrics["projection"], "sha256": photo.get("sha256")}
    is_tuned = "tuning" in request
    known = read_record(folder.path / EDIT_FILE)
    is_done = known is not None and known.get("request") == request and isinstance(known.get("values"), dict)
    if not is_done or not all((folder.path / name).is_file() for name in (EDITED, COMPARED)):
        generator, places = draws
        saved = load_latent_file(folder.path)
        delta = load_delta(saved) if is_tuned else None
        generator = generator if delta is None else delta.apply(generator)
        w = saved.of(generator)
        options: dict[str, Any] = {
            "absolute": edits.absolute,
            "units": edits.units,
            "layers": edits.layers,
            "pivot": w if w.ndim == 3 else None,
        }
        result = edit_with_readings(axes, w, edits.amounts, **options)
        noise = None if delta is not None else saved.noise_of(generator)  # it was tuned with its own noise
        if places is None:
            image = np.asarray(render(generator, result.w, noise))
        else:
            stages, where = stages_of(axes, w, edits.amounts, **options)
            drawn = draw_in_places(generator, stages, where, places, noise=noise)
            image = np.asarray(to_uint8(drawn.edited))[0]
        (folder.path / EDIT_FILE).unlink(missing_ok=True)
        save_image(image, folder.path / EDITED)
        compared = side_by_side(
            *(at_side(part, min(_SHOWN_SIDE, len(part))) for part in (folder.crop(), image))
        )
        save_image(compared, folder.path / COMPARED)
        indices = {name: axes.attribute_names.index(name) for name in edits.amounts}
        before, after = np.asarray(result.before)[0], np.asarray(result.after)[0]
        values = {name: [float(before[i]), float(after[i])] for name, i in indices.items()}
        known = {"request": request, "values": values}
        write_record(folder.path / EDIT_FILE, known)
    assert known is not None
    quality = metrics["tuned_metrics" if is_tuned else "metrics"]
    row = {
        "photo": photo.get("photo", folder.path.name),
        "face": photo.get("face", 1),
        "status": "edited",
        "lpips": quality["lpips"],
        "psnr": quality["psnr_256"],
        "identity": quality.get("identity"),
        "face_file": f"{folder.path.name}/{EDITED}",
        "file": f"{folder.path.name}/{EDITED}",
        "folder": folder.path.name,
    }
    for name, pair in known["values"].items():
        row |= {f"{name} before": pair[0], f"{name} after": pair[1]}
    return row


def _paste(
    rows: list[dict[str, Any]],
    files: Sequence[Path],
    out: Path,
    edits: PhotoEdits,
    shown: str,
    *,
    progress: bool,
) -> None:
    """Paste the edited faces back into their photographs, and add to the rows what came of it.

    Args:
        rows: of the edited faces.
        files: the photographs.
        out: the folder of the results.
        edits: of every face.
        shown: name of the unedited face in each folder, as the generator that was edited with draws it.
        progress: whether to show a bar.
    """
    photos = paths_by_content(files)
    groups: dict[Path, list[dict[str, Any]]] = {}
    for row in rows:
        sha256, _ = PhotoFolder(out / row["folder"]).owner()
        groups.setdefault(photos[sha256], []).append(row)
    bar = tqdm(groups.items(), desc="pasting", unit="photo", disable=not progress, file=sys.stderr)
    for photo, group in bar:
        group.sort(key=lambda row: int(row["face"]))
        folders = [PhotoFolder(out / row["folder"]) for row in group]
        try:
            pasted, changed = paste_faces(
                photo, folders, EDITED, reconstruction_file=shown, keep_position=edits.keep_position
            )
        except (InputError, OutputError) as error:
            for row in group:
                row |= {"status": "not pasted", "reason": str(error)}
            continue
        for row in group:
            row |= {"file": pasted.name, "changed": changed}


def _left_out(path: Path, reason: str, out: Path) -> dict[str, Any]:
    """The row of a photograph or a face that was not edited."""
    photo = PhotoFolder(path).photo() if path.parent == out else None
    name = path.name if photo is None else photo.get("photo", path.name)
    return {
        "photo": name,
        "face": None if photo is None else photo.get("face"),
        "status": "left out",
        "reason": reason,
        "folder": None if photo is None else path.name,
    }


def _write_page(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    edits: PhotoEdits,
    axes: AttributeAxes,
) -> Path:
    done = [row for row in rows if row["status"] != "left out"]
    left_out = [row for row in rows if row["status"] != "edited"]
    images = tuple(
        PageImage(
            address(row["folder"], COMPARED),
            f"{shown_name(row['photo'])}, before and after",
            f"{shown_name(row['photo'])}, face {row['face']}: {shown_name(row['file'])}",
            2 * _SHOWN_SIDE,
            _SHOWN_SIDE,
        )
        for row in done
    )
    units = dict(zip(axes.attribute_names, axes.attribute_units, strict=True))
    changes = [f"{name} ({units[name]})" for name in edits.amounts]
    head = ("photograph", "face", "LPIPS", "PSNR (dB)", *changes)
    cells = tuple(
        (
            shown_name(row["photo"]),
            str(row["face"]),
            cell_text(row["lpips"]),
            f"{row['psnr']:.1f}",
            *(
                f"{cell_text(row[f'{name} before'])} → {cell_text(row[f'{name} after'])}"
                for name in edits.amounts
            ),
        )
        for row in done
    )
    sections = []
    if done:
        text = ("The crop of the photograph, and the edit.",)
        sections.append(Section("Edited", text, images))
        sections.append(Section("Values", tables=(Table("Edited faces", head, cells),), wide=True))
    if left_out:
        reasons = tuple(
            (
                shown_name(row["photo"]),
                "–" if row["face"] is None else str(row["face"]),
                shown_name(row["reason"]),
            )
            for row in left_out
        )
        table = Table(
            "Photographs and faces that were not edited, or not pasted back",
            ("photograph", "face", "why"),
            reasons,
        )
        sections.append(Section("Left out", tables=(table,), wide=True))
    amounts = ", ".join(f"{name} {amount:+g}" for name, amount in edits.amounts.items()).replace("-", "−")
    return write_report(
        path,
        title="Edited photographs",
        lead=f"{amounts}{' (values to reach)' if edits.absolute else ''}",
        headlines=[(str(len(done)), "faces edited"), (str(len(left_out)), "left out")],
        sections=sections,
        footer=["A likeness of a real person is theirs: ask before you edit it."],
    )
