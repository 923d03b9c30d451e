import numpy as np
import pytest
from scipy.special import ndtri

from jaxedit.evaluation.protocol import default_requests
from jaxedit.evaluation.scales import fit_scales, in_standard_deviations

NAMES = ("red", "green", "blue")
NORMAL = ndtri((np.arange(4000) + 0.5) / 4000).astype(np.float32)
"""With these values as reference, standard deviations are values."""


def test_standard_deviations_do_not_depend_on_the_number_of_rows():
    scale = fit_scales(["a"], np.zeros((2, 1)), {"a": NORMAL})
    values = np.linspace(-2, 2, 1200).reshape(3, 400, 1)
    np.testing.assert_allclose(in_standard_deviations(scale, values), values, atol=0.02)
    np.testing.assert_allclose(in_standard_deviations(scale, values[:1, :7]), values[:1, :7], atol=0.02)


def test_requests_of_each_unit():
    scale = fit_scales(NAMES, np.zeros((2, 3)), {"red": 10 * NORMAL, "green": NORMAL, "blue": 0.01 * NORMAL})
    assert default_requests(scale, 0, "years") == (20, 30, 40, 50, 60, 70)
    for column, unit in enumerate((10, 1, 0.01)):
        requests = default_requests(scale, column, "degrees")
        assert requests == pytest.approx([unit * x for x in (-1.5, -0.75, 0, 0.75, 1.5)], abs=0.06 * unit)
        assert all(float(f"{request:.2g}") == pytest.approx(request) for request in requests)
