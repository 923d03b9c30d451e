import numpy as np
import pytest
from PIL import Image

from jaxedit.errors import OutputError
from jaxedit.evaluation.report.plots import (
    plot_correlations,
    plot_effects,
    plot_explained_variance,
    plot_training,
    save_figure,
)

RNG = np.random.default_rng(0)
NAMES = [f"attribute_{i}" for i in range(25)]


def _texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def _overlaps(figure, texts):
    """Pairs of texts whose boxes meet."""
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


@pytest.mark.parametrize("size", [1, 4, 25])
def test_heat_map_shows_every_number_without_overlap(size):
    effects = np.eye(size) - 0.1 * RNG.random((size, size))
    figure = plot_effects(effects, NAMES[:size])
    (axes,) = figure.axes
    assert len(axes.texts) == size**2
    assert axes.texts[0].get_text() == f"{effects[0, 0]:.1f}"
    assert not _overlaps(figure, axes.texts)
    assert not _overlaps(figure, axes.get_yticklabels())


def test_colors_are_centered_at_zero():
    (axes,) = plot_effects(np.asarray([[0.2, -0.9], [0.0, 0.4]]), NAMES[:2]).axes
    assert axes.images[0].get_clim() == pytest.approx((-0.9, 0.9))


def test_effects_of_some_axes_on_all_attributes():
    (axes,) = plot_effects(np.zeros((2, 3)), NAMES[:2], NAMES[:3]).axes
    assert len(axes.get_xticklabels()) == 3
    assert len(axes.get_yticklabels()) == 2


@pytest.mark.parametrize("k", [1, 60, 512])
def test_variance_marks_k(k):
    variance = np.exp(-np.arange(512) / 50)
    figure = plot_explained_variance(variance, k)
    share = 100 * variance[:k].sum() / variance.sum()
    assert _texts(figure) == [f"k = {k}: {share:.1f} % of the variance"]
    figure.draw_without_rendering()
    note, axes = figure.axes[0].texts[0].get_window_extent(), figure.bbox
    assert axes.x0 <= note.x0
    assert note.x1 <= axes.x1


@pytest.mark.parametrize("num_steps", [1, 7, 300])
def test_training_has_a_panel_for_each_curve(num_steps):
    losses = {"total": RNG.random(num_steps), "attribute_loss": RNG.random(num_steps)}
    figure = plot_training(losses, {"correlation": np.asarray([0.5])}, np.asarray([num_steps]))
    assert len(figure.axes) == 3


def test_correlations_are_sorted_and_written():
    correlations = np.asarray([0.2, 0.9, -0.1])
    figure = plot_correlations(correlations, ["a", "b", "c"])
    assert _texts(figure) == ["0.90", "0.20", "−0.10"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["b", "a", "c"]


def test_figures_are_saved_whole_or_not_at_all(tmp_path):
    figure = plot_correlations(np.asarray([0.5]), ["a"])
    path = save_figure(figure, tmp_path / "below" / "plot.png")
    with Image.open(path) as image:
        assert image.format == "PNG"
    assert [file.name for file in path.parent.iterdir()] == ["plot.png"]
    with pytest.raises(OutputError, match="could not write"):
        save_figure(figure, path / "plot.png")
