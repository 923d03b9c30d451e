import jax
import numpy as np
import pytest

from jaxedit.axes.leakage import leakage, leakage_of_effects

EFFECTS = np.array([[2.0, 0.5, -0.5], [0.0, 1.0, 0.0], [1.0, 1.0, -1.0]], np.float32)


def test_leakage_by_hand():
    np.testing.assert_allclose(leakage_of_effects(EFFECTS), [0.25, 0.0, 1.0])
    np.testing.assert_allclose(jax.jit(leakage_of_effects)(EFFECTS), [0.25, 0.0, 1.0])


def test_rows_may_be_other_targets_than_the_columns():
    np.testing.assert_allclose(leakage_of_effects(EFFECTS[:2], own=[2, 1]), [2.5, 0.0])
    assert leakage_of_effects(np.asarray([[3.0]])) == 0


def test_one_target_and_many_resamples():
    target, others = np.asarray([2.0, -1.0]), np.asarray([[0.2, -0.6], [0.1, 0.3]])
    np.testing.assert_allclose(leakage(target, others), [0.2, 0.2])
    signs = np.sign(others[0])
    np.testing.assert_allclose(leakage(target, others, signs), [0.2, -0.1])
    assert leakage(target, others).dtype == np.float64


def test_a_target_without_change_has_no_finite_leakage():
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert np.isinf(leakage(np.zeros(1), np.ones((1, 2)))).all()
