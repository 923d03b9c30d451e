import re

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxedit.evaluation import EvaluationConfig, Evaluators, IndependentNetworks, LinearDirections, evaluate
from jaxedit.evaluation.report.comparison_page import draw_sheets, write_page
from jaxedit.evaluation.report.comparison_plots import (
    plot_calibration,
    plot_curves,
    plot_effect_matrices,
    plot_leakage,
    plot_sliders,
)
from jaxedit.evaluation.report.rate_plots import plot_rates
from jaxedit.evaluation.report.rate_tables import code_tables, rate_tables

NAMES = ("red", "green", "blue")
NORMAL = np.random.RandomState(0).standard_normal(2000).astype(np.float32)


class Calibrated(LinearDirections):
    def edit_to(self, w, attribute, values):
        return jnp.asarray(w).at[:, self.attribute_names.index(attribute)].set(values)


def two_colors(images):
    return 10 * images.mean((1, 2))[:, :2]


two_colors.names = ("red@a", "green@b")


def _run(toy, classifier, out, count, *, independent=None, identity=None, **options):
    rng = np.random.RandomState(1)
    methods = []
    for i in range(count):
        directions = np.eye(3, 6, dtype=np.float32) + 0.05 * i * rng.standard_normal((3, 6)).astype(
            np.float32
        )
        kind = Calibrated if i == 0 else LinearDirections
        # The last one lacks a target.
        chosen = NAMES[1:] if i and i == count - 1 else NAMES
        methods.append(kind(f"method {i} of some length", chosen, directions[-len(chosen) :]))
    return evaluate(
        toy,
        methods,
        rng.standard_normal((8, 6)).astype(np.float32),
        Evaluators(classifier, dict.fromkeys(NAMES, NORMAL), independent or {}, identity or {}),
        EvaluationConfig(targets=NAMES, pilot=4, num_resamples=50, batch_size=8, **options),
        out=out,
        progress=False,
    )


@pytest.fixture(scope="module")
def many(toy, classifier, tmp_path_factory):
    options = {
        "independent": {"second": IndependentNetworks(two_colors)},
        "identity": {"color": lambda images: images.mean((1, 2)), "first": two_colors},
    }
    return _run(toy, classifier, tmp_path_factory.mktemp("many"), 12, **options)


@pytest.fixture(scope="module")
def single(toy, classifier, tmp_path_factory):
    return _run(toy, classifier, tmp_path_factory.mktemp("single"), 1, sheet_faces=0)


@pytest.fixture(params=["many", "single"])
def result(request):
    return request.getfixturevalue(request.param)


def _overlaps(figure, texts):
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def test_a_heat_map_for_each_method(result):
    figure = plot_effect_matrices(result)
    assert len(figure.axes) == len(result.methods)
    for panel in figure.axes:
        assert len(panel.texts) == 9
        assert panel.images[0].get_clim() == (-1, 1)
        assert not _overlaps(figure, panel.texts)
    assert figure.axes[0].texts[0].get_text() == "1.00"
    if len(result.methods) > 1:
        assert [text.get_text() for text in figure.axes[-1].texts[:3]] == ["–"] * 3


@pytest.mark.parametrize("score", ["leakage", "absolute_leakage"])
def test_bars_for_every_group_of_networks(result, score):
    figure = plot_leakage(result, score)
    groups = len(result.request.independent_attributes)
    assert len(figure.axes) == 3
    for panel, target in zip(figure.axes, NAMES, strict=True):
        methods = sum((m, target) in result.cells for m in result.methods)
        known = groups if target != "blue" else 0  # the independent networks do not measure blue
        same = groups if score == "leakage" else 0
        assert len(panel.patches) == methods * (1 + known + same)
        assert not _overlaps(figure, panel.get_yticklabels())
    absent = [text.get_text() for text in figure.axes[0].texts]
    assert absent == (["no such direction"] if len(result.methods) > 1 else [])


def test_curves_for_every_method(result):
    figure = plot_curves(result)
    kinds = 1 + len(result.request.identity_networks)
    assert len(figure.axes) == 3 * kinds
    first = figure.axes[0]
    lines = [line for line in first.lines if line.get_marker() != "None"]
    assert len(lines) == sum((m, "red") in result.cells for m in result.methods)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(result.methods)


def test_rates_for_every_method(result):
    figure = plot_rates(result)
    kinds = 1 + len(result.request.identity_networks)
    assert len(figure.axes) == 3 * kinds
    red = [figure.axes[i] for i in range(kinds)]
    for panel, kind in zip(red, ["attributes", *result.request.identity_networks], strict=True):
        methods = [m for m in result.methods if (m, "red") in result.cells]
        assert len(panel.lines) == len(methods)
        for line, method in zip(panel.lines, methods, strict=True):
            curve = result.cells[method, "red"].rates.curve
            np.testing.assert_allclose(line.get_xdata(), 100 * curve.target_change)
            expected = (
                curve.attribute_preservation if kind == "attributes" else curve.identity_preservation[kind]
            )
            np.testing.assert_allclose(line.get_ydata(), expected)
            bottom, top = panel.get_ylim()
            assert bottom < expected.min() and expected.max() < top
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(result.methods)


def test_tables_of_rates(many):
    tables = rate_tables(many)
    assert [table.caption for table in tables] == [f"{n}, at equal change" for n in ("Red", "Green", "Blue")]
    red = tables[0]
    interval = "95 % interval"
    rates = ("TCR [%]", interval, "APR [%]", interval)
    assert red.head == ("method", *rates, "IPS by color", interval, "IPS by first", interval)
    assert len(red.rows) == len(many.methods) - 1, "the last method lacks red"
    for method, *texts in red.rows:
        found = many.cells[method, "red"].rates
        tcr, apr, ips = (float(texts[i].replace("−", "-")) for i in (0, 2, 4))
        assert tcr == pytest.approx(100 * found.target_change.value, abs=0.05)
        assert apr == pytest.approx(100 * found.attribute_preservation.value, abs=0.05)
        assert ips == pytest.approx(found.identity_preservation["color"].value, abs=0.0005)
    assert code_tables(many) == [], "eight faces are too few for the scores of codes"


def test_methods_are_told_apart(many):
    lines = [line for line in plot_curves(many).axes[-1].lines if line.get_marker() != "None"]
    styles = {(line.get_color(), str(line.get_linestyle())) for line in lines}
    assert len(styles) == len(many.methods)


def test_sliders_and_calibration(result):
    figure = plot_sliders(result)
    assert len(figure.axes) == 6
    assert not _overlaps(figure, figure.axes[3].get_yticklabels())
    calibration = plot_calibration(result)
    assert calibration is not None
    assert len(calibration.axes) == 3


def test_no_calibration_where_no_method_has_values(toy, classifier, tmp_path):
    straight = LinearDirections("straight", NAMES, np.eye(3, 6, dtype=np.float32))
    result = evaluate(
        toy,
        [straight],
        np.eye(4, 6),
        Evaluators(classifier, dict.fromkeys(NAMES, NORMAL)),
        EvaluationConfig(targets=["red"], num_resamples=10),
        out=tmp_path,
        progress=False,
    )
    assert plot_calibration(result) is None
    assert "own unit</h2>" not in write_page(result).read_text(encoding="utf-8")


def test_sheets_hold_the_original_and_the_edits(many):
    first, second = draw_sheets(many, "red")
    assert first.shape[1] > second.shape[1]
    with np.load(many.folder / "measurements" / "unedited_images.npz") as file:
        originals = file["images"]
    assert len(originals) == 3
    for sheet, faces in ((first, originals[:2]), (second, originals[2:])):
        for image in faces:
            same = (sheet == image[0, 0]).all(-1).sum()
            assert same >= image.shape[0] * image.shape[1] * 11  # once for each method with this target


def test_the_page_is_one_file(result):
    page = write_page(result)
    html = page.read_text(encoding="utf-8")
    addresses = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert all(a.startswith(("data:image/", "#part-")) for a in addresses)
    assert sum(a.startswith("data:") for a in addresses) == (7 + 6 if len(result.methods) > 1 else 7)
    for part in ("At a glance", "One edit, one attribute", "Numbers", "Definitions"):
        assert f"<h2>{part}</h2>" in html
    assert ("<h2>Faces</h2>" in html) == (len(result.methods) > 1)
    for method in result.methods:
        assert html.count(method) >= 2
    for file in (page.parent / "plots").iterdir():
        with Image.open(file) as image:
            assert image.format == "PNG"


def test_a_page_of_another_change(toy, classifier, tmp_path):
    result = _run(toy, classifier, tmp_path, 2, change=0.5)
    html = write_page(result).read_text(encoding="utf-8")
    assert "by 0.5 standard deviations on average" in html
    assert "means in the table are over green, blue" in html
