import numpy as np
import pytest
from scipy.stats import norm

from jaxedit import AxesConfig, InputError, LabelledLatents, fit_pca, learn_axes
from jaxedit.labels.histogram_transform import fit_histogram_transform


def values(count: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(0)
    # The last one has a gap of many empty bins.
    columns = [
        rng.gamma(4, 10, count),
        30 * rng.normal(size=count),
        rng.normal(size=count) % 1 + 9.0 * (rng.random(count) < 0.3),
    ]
    return np.stack(columns, 1).astype(np.float32)


NAMES, UNITS = ("age", "smile", "halves"), ("years", "logit", "")


def test_shares_of_values_become_those_of_a_normal_variable_with_ends():
    v = values()
    transform = fit_histogram_transform(v, NAMES, UNITS)
    t = np.asarray(transform.transform(v))
    # By hand at each edge of the histogram.
    for i, column in enumerate(v.astype(np.float64).T):
        column = column.clip(-40, 40) if UNITS[i] == "logit" else column
        edges = np.linspace(column.min(), column.max(), 202)
        low = norm.cdf(-3.1)
        for edge in edges[[0, 1, 60, 100, 140, 201]]:
            share = (column < edge).mean() if edge < edges[-1] else 1.0
            raw = np.zeros((1, 3), np.float32)
            raw[0, i] = edge
            expected = norm.ppf(low + share * (1 - 2 * low))
            assert float(transform.transform(raw)[0, i]) == pytest.approx(expected, abs=0.05)
        assert np.ptp(t[:, i]) >= 6.19
    inside = np.abs(v[:, 1]) < 40
    np.testing.assert_allclose(transform.inverse_transform(t)[inside], v[inside], rtol=1e-3, atol=1e-2)
    order = np.argsort(v[:, 2])
    assert (np.diff(t[order, 2]) >= 0).all()


def test_missing_values_stay_missing_and_one_value_is_refused():
    v = values(50)
    v[3, 0] = np.nan
    transform = fit_histogram_transform(v, NAMES, UNITS)
    found = np.isnan(np.asarray(transform.transform(v)))
    assert found[3, 0] and found.sum() == 1
    v[:, 2] = 1
    with pytest.raises(InputError, match="'halves'"):
        fit_histogram_transform(v, NAMES, UNITS)


def test_axes_learn_from_such_labels():
    w = np.random.default_rng(1).normal(size=(600, 8)).astype(np.float32)
    dataset = LabelledLatents(w, np.exp(w[:, :1]), ("size",), ("log-odds",))
    config = AxesConfig(num_steps=50, hidden_width=16, label_transform="histogram")
    axes = learn_axes(dataset, fit_pca(w, 8), config, progress=False)
    assert float(np.abs(axes.quantile_transform.positions).max()) == pytest.approx(3.1, abs=1e-4)
    assert axes.report.axis_label_correlation[0] > 0.8
