"""Planted defects: how often reading a photograph points at what does not belong.

    python -m benchmarks.quality.planted_defects --out defects --json defects.json portraits/*.jpg

Each face is cut out and read twice: as it is, and with one defect at a random place in the face, a blot, a scratch or a
sticker in turn. A defect is *found* if the least explained place of the face, `spot` of `jaxedit read`, lies on it. The
strength of the spot is compared over all pairs of a face with and one without defect: the share of pairs in which the
defect's is larger (AUC). Finished faces are kept in --out. `sheet.png` there shows each face with its defect and the
spot.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.reporting import Rows, check_photographs, finish
from jaxedit.errors import InputError
from jaxedit.evaluation.report.contact_sheet import draw_grid
from jaxedit.images import save_image
from jaxedit.inversion.align import align
from jaxedit.inversion.face_limits import FaceLimits, FacePlace
from jaxedit.inversion.presets import preset as preset_of
from jaxedit.inversion.project_photos import PhotoProjectionConfig
from jaxedit.photographs.read_photos import read_photos
from jaxedit.pretrained.encoders import load_encoder
from jaxedit.pretrained.registry import load_axes, load_generator

_NAME = "mobile-stylegan-ffhq"
_KINDS = ("blot", "scratch", "sticker")
_SIDE = 1024  # of the crops
_MARGIN = 0.06  # that a spot may lie beside a defect, in sides of the crop: half of what `spot` averages over
_CENTER, _RADII = np.asarray((0.5, 0.56)), np.asarray((0.19, 0.24))  # where defects lie, in sides of the crop
_COLORS = ((24, 18, 40), (92, 52, 20), (30, 64, 34), (120, 20, 24))  # ink, coffee, mold, wine
_LOUD = ((235, 40, 52), (250, 214, 40), (36, 120, 230), (250, 250, 250), (24, 160, 92))


@dataclasses.dataclass(frozen=True)
class Defect:
    """A defect in a crop.

    Attributes:
        kind: blot, scratch or sticker.
        x: of its middle, in fractions of the crop's width.
        y: likewise of its height.
        radius: of what it covers, likewise.
    """

    kind: str
    x: float
    y: float
    radius: float

    def is_at(self, x: float, y: float) -> bool:
        """Whether a spot lies on it."""
        return float(np.hypot(x - self.x, y - self.y)) <= self.radius + _MARGIN


def plant(crop: np.ndarray, kind: str, seed: int) -> tuple[np.ndarray, Defect]:
    """A crop [side, side, 3], uint8, with a defect at a random place in the face."""
    random = np.random.RandomState(seed)
    angle, length = random.uniform(0, 2 * np.pi), np.sqrt(random.uniform())
    middle = _CENTER + length * _RADII * (np.cos(angle), np.sin(angle))
    x, y = middle * len(crop)
    radius = random.uniform(
        0.025, 0.05
    )  # a twentieth to a tenth of the crop across, a sixth of the face at most
    r = radius * len(crop)
    layer = Image.new("L", (len(crop),) * 2, 0)
    pen = ImageDraw.Draw(layer)
    turn = random.uniform(0, np.pi)
    if kind == "blot":
        for _ in range(9):
            dx, dy = random.normal(0, 0.3 * r, 2)
            s = random.uniform(0.3, 0.75) * r
            pen.ellipse((x + dx - s, y + dy - s, x + dx + s, y + dy + s), fill=235)
        layer = layer.filter(ImageFilter.GaussianBlur(3))
        color = _COLORS[random.randint(len(_COLORS))]
    elif kind == "scratch":
        radius, r = 2 * radius, 2 * r
        along = np.asarray((np.cos(turn), np.sin(turn)))
        steps = np.linspace(-1, 1, 9)[:, None] * r * along + random.normal(0, 0.04 * r, (9, 2))
        pen.line([tuple(point) for point in middle * len(crop) + steps], fill=230, width=random.randint(3, 7))
        layer = layer.filter(ImageFilter.GaussianBlur(0.8))
        color = (238, 232, 222)
    else:
        corners = [turn + np.pi / 4 + i * np.pi / 2 for i in range(4)]
        pen.polygon([(x + r * np.cos(a), y + r * np.sin(a)) for a in corners], fill=255)
        color = _LOUD[random.randint(len(_LOUD))]
    cover = np.asarray(layer, np.float32)[..., None] / 255
    planted = np.round((1 - cover) * crop + cover * np.asarray(color, np.float32)).astype(np.uint8)
    return planted, Defect(kind, float(middle[0]), float(middle[1]), float(radius))


def faces_of(photos: list[Path], count: int) -> dict[str, np.ndarray]:
    """Crops by name: of each photograph every face that `jaxedit read` finds no problem with."""
    limits, crops = FaceLimits(), {}
    for photo in photos:
        if len(crops) >= count:
            break
        try:
            faces = align(photo, _SIDE)
        except InputError as error:
            print(f"left out: {error}", flush=True)
            continue
        for number, face in enumerate(faces, 1):
            place = FacePlace(face.quad, face.landmarks, face.score)
            if limits.problem(place) is None and len(crops) < count:
                crops[f"{photo.stem}-{number}"] = face.image
    return crops


def prepare(photos: list[Path], count: int, seed: int, folder: Path) -> dict[str, tuple[Path, Path, Defect]]:
    """Files with and without defect, by name of the face."""
    folder.mkdir(parents=True, exist_ok=True)
    prepared = {}
    for i, (name, crop) in enumerate(faces_of(photos, count).items()):
        planted, defect = plant(crop, _KINDS[i % len(_KINDS)], seed + i)
        paths = folder / f"{name}-clean.png", folder / f"{name}-planted.png"
        for path, image in zip(paths, (crop, planted), strict=True):
            if not path.exists():  # a new file would be projected anew
                save_image(image, path)
        prepared[name] = (*paths, defect)
    return prepared


def area_under_curve(larger: list[float], smaller: list[float]) -> float:
    """The share of pairs whose first number is larger; ties count half."""
    a, b = np.asarray(larger)[:, None], np.asarray(smaller)[None]
    return float(((a > b) + 0.5 * (a == b)).mean())


def rates(rows: Rows) -> Rows:
    """Found defects by kind and in all, with the AUC of the strength."""
    clean = [row["strength, clean"] for row in rows]
    found: Rows = []
    for kind in (*_KINDS, "all"):
        own = [row for row in rows if kind in ("all", row["defect"])]
        found.append(
            {
                "defect": kind,
                "faces": len(own),
                "found": sum(row["found"] for row in own),
                "clean spot at that place": sum(row["clean spot there"] for row in own),
                "AUC of the strength": area_under_curve([row["strength, planted"] for row in own], clean),
            }
        )
    return found


def draw(prepared: dict[str, tuple[Path, Path, Defect]], rows: Rows, path: Path) -> None:
    """A sheet of all faces: the spot as a ring, green where it lies on the defect."""
    images = []
    for row in rows:
        image = Image.open(prepared[row["face"]][1]).convert("RGB").resize((192, 192))
        x, y = 192 * row["spot x"], 192 * row["spot y"]
        ring = (40, 200, 80) if row["found"] else (230, 40, 40)
        ImageDraw.Draw(image).ellipse((x - 14, y - 14, x + 14, y + 14), outline=ring, width=3)
        images.append(np.asarray(image))
    columns = 10
    while len(images) % columns:
        images.append(np.full_like(images[0], 255))
    grid = np.stack(images).reshape(-1, columns, *images[0].shape)
    sheet = draw_grid(
        grid, row_names=[""] * len(grid), column_heads=[""] * columns, title="Planted defects and spots"
    )
    save_image(sheet, path)


def main(
    photos: Annotated[list[Path], typer.Argument(help="photographs; faces are taken in their order")],
    faces: Annotated[int, typer.Option(help="number of faces, at most")] = 50,
    preset: Annotated[str, typer.Option(help="preset of the projection")] = "quick",
    seed: Annotated[int, typer.Option(help="seed of the defects")] = 0,
    out: Annotated[Path, typer.Option(help="folder of crops and readings")] = Path("defects"),
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
) -> None:
    """Plant defects, and read the faces with and without them."""
    check_photographs(photos)
    if faces < 1:
        raise typer.BadParameter(f"--faces: expected 1 or more, got {faces}")
    prepared = prepare(photos, faces, seed, out / "crops")
    if not prepared:
        raise typer.BadParameter("expected photographs with a face that can be read, found no such face")
    generator = load_generator(_NAME)
    config = PhotoProjectionConfig(
        projection=preset_of(preset, has_encoder=True),
        encoder=load_encoder(_NAME, generator),
        is_aligned=True,
    )
    files = [path for clean, planted, _ in prepared.values() for path in (clean, planted)]
    readings = read_photos(files, out / "readings", generator, load_axes(_NAME), config, generator_name=_NAME)
    by_photo: dict[str, dict[str, Any]] = {Path(row["photo"]).stem: row for row in readings.rows}
    rows: Rows = []
    for name, (clean, planted, defect) in prepared.items():
        before, after = by_photo[clean.stem], by_photo[planted.stem]
        rows.append(
            {
                "face": name,
                "defect": defect.kind,
                "found": defect.is_at(after["spot_x"], after["spot_y"]),
                "clean spot there": defect.is_at(before["spot_x"], before["spot_y"]),
                "strength, planted": after["spot"],
                "strength, clean": before["spot"],
                "x": defect.x,
                "y": defect.y,
                "radius": defect.radius,
                "spot x": after["spot_x"],
                "spot y": after["spot_y"],
                "lpips, clean": before["lpips"],
            }
        )
    draw(prepared, rows, out / "sheet.png")
    finish("planted defects", {"rates": rates(rows), "faces": rows}, json)


if __name__ == "__main__":
    typer.run(main)
