import csv
import json

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxedit.errors import InputError
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.inversion.face_limits import FaceLimits
from jaxedit.inversion.project_photos import PhotoProjectionConfig
from jaxedit.photographs import unexplained
from jaxedit.photographs.read_photos import read_photos, reading_intervals
from jaxedit.photographs.unexplained import heat_image, strongest_spot, unexplained_map
from jaxedit.photographs.unusual import mahalanobis_length, percentile, reference_lengths

CONFIG = ProjectionConfig(num_steps=4, num_w_steps=2)


class Colors:
    names = ("smile", "height", "redness")
    units = ("percent", "cm", "")

    def __call__(self, images):
        return jnp.stack(
            [images.mean((1, 2, 3)), 100 + images.mean((1, 2, 3)), images[..., 0].mean((1, 2))], 1
        )


def photo(path, value, score=90):
    pixels = np.full((64, 64, 3), value, np.uint8)
    pixels[-1, -1] = score
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def run(small, axes, stand_in, tmp_path):
    def run(photos, limits=None, **options):
        config = PhotoProjectionConfig(CONFIG, all_faces=True, limits=limits)
        return read_photos(photos, tmp_path / "out", small, axes, config, generator_name="cats", **options)

    return run


def test_faces_are_read(run, axes, small, stand_in, tmp_path):
    photos = [
        photo(tmp_path / "b.png", 2),
        photo(tmp_path / "a.png", 1, score=20),
        photo(tmp_path / "no.png", 0),
    ]
    result = run(photos, FaceLimits(min_side=64), classifier=Colors())
    assert [(row["photo"], row["face"]) for row in result.rows] == [("a.png", 1), ("b.png", 1), ("b.png", 2)]
    first = result.rows[0]
    w = np.full((1, 10, 16), 0.01, np.float32)  # of the stand-in
    values = np.asarray(axes.read(w, pivot=w))[0]
    assert first["height"] == pytest.approx(float(values[0]), rel=1e-5)
    assert first["height low"] < first["height"] < first["height high"]
    # The classifier's height has the unit of the axis, its smile another one.
    assert first["height network"] == pytest.approx(100 + 1 / 127.5 - 1, abs=0.02)
    assert "smile network" not in result.columns
    assert "hidden" in first["problem"] and result.rows[1]["problem"] is None
    assert 0 <= first["unusual"] <= 100 and first["lpips"] > 0 and 0 < first["spot_x"] < 1
    table = list(csv.DictReader(result.table.read_text("utf-8-sig").splitlines()))
    assert [row["photo"] for row in table] == ["a.png", "b.png", "b.png"]
    assert float(table[0]["height"]) == pytest.approx(first["height"], rel=1e-3)
    document = json.loads(result.json.read_text())
    assert document["units"] == {"height": "cm", "smile": "logit"}
    assert document["faces"][0]["height"] == first["height"]
    assert list(document["failures"]) == [str(tmp_path / "no.png")]
    page = result.page.read_text()
    assert 'src="b_2/reading.jpg"' in page and "no face found" in page
    assert Image.open(tmp_path / "out/b_2/reading.jpg").size == (768, 256)
    assert Image.open(tmp_path / "out/a/unexplained.png").size == (256, 256)


def test_the_sheet_is_sorted_by_any_column(run, tmp_path, stand_in):
    photos = [
        photo(tmp_path / f"{name}.png", 1, score=score) for name, score in (("a", 90), ("b", 30), ("c", 60))
    ]
    by_height = [row["height"] for row in run(photos, sort="height").rows]
    assert by_height == sorted(by_height, reverse=True)
    result = run(photos, sort="problem")
    assert all("too small: its crop has 64 pixels" in row["problem"] for row in result.rows)
    assert len(stand_in.batches) == 3  # projected once
    for sort in ("beard", "folder"):
        with pytest.raises(InputError, match="sort: expected one of photo, face"):
            run(photos, sort=sort)
    with pytest.raises(InputError, match="one or more"):
        run([])


def test_intervals_hold_two_thirds_of_the_labels(axes):
    rng = np.random.RandomState(5)
    w = rng.randn(2000, 16).astype(np.float32)
    labels = 170 + 7 * w[:, 0]
    low, high = reading_intervals(axes, np.asarray(axes.read(w)))
    correlation = float(axes.report.axis_label_correlation[0])
    within = float(((low[:, 0] <= labels) & (labels <= high[:, 0])).mean())
    assert 0.1 < np.sqrt(1 - correlation**2) < 0.99  # not a trivial one
    assert 0.5 < within < 0.9


def test_lengths_and_percentiles(axes, small):
    references = reference_lengths(small, axes.pca)
    assert (np.diff(references) >= 0).all()
    assert percentile(float(np.median(references)), references) == pytest.approx(50, abs=1)
    w = np.random.RandomState(3).randn(5000, 16).astype(np.float32)
    lengths = mahalanobis_length(w, axes.pca)
    assert np.mean(lengths**2) == pytest.approx(1, abs=0.1)
    layers = np.stack([w[:10], w[10:20]], 1)
    expected = np.sqrt((lengths[:10] ** 2 + lengths[10:20] ** 2) / 2)
    np.testing.assert_allclose(mahalanobis_length(layers, axes.pca), expected)


def test_a_sticker_is_found():
    rng = np.random.RandomState(0)
    image = np.asarray(Image.fromarray(rng.randint(60, 200, (8, 8, 3), np.uint8)).resize((256, 256), 3))
    other = image.copy()
    other[150:180, 110:140] = (250, 10, 200)
    heat = unexplained_map(other, image)
    spot = strongest_spot(heat)
    assert 110 <= 256 * spot.x <= 140 and 150 <= 256 * spot.y <= 180
    assert spot.strength > 10 * np.median(heat)
    same = unexplained_map(image, image)
    assert same.shape == (unexplained.MAP_SIDE,) * 2 and same.max() < 1e-6
    drawn = heat_image(other, heat).astype(int)
    assert drawn[165, 125, 0] > drawn[165, 125, 2] + 50  # yellow or red there
    assert np.ptp(drawn[20, 20]) <= 60
    # Beyond the face nothing is looked for.
    corner = np.zeros((64, 64), np.float32)
    corner[60:, :4] = 9
    assert strongest_spot(corner).strength == 0
