import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.selection import predictable_attributes, ridge_correlations


@pytest.fixture(scope="module")
def dataset() -> LabelledLatents:
    keys = jax.random.split(jax.random.key(0), 3)
    w = jax.random.normal(keys[0], (2003, 16)) * jnp.linspace(0.1, 3, 16) + 5
    signal = (w - 5) / jnp.linspace(0.1, 3, 16) @ jax.random.normal(keys[1], (16, 3)) / 4
    noise = jax.random.normal(keys[2], (2003, 3))
    return LabelledLatents(
        w, 40 + 10 * (signal + noise * jnp.array([0.1, 1.0, 10.0])), ("a", "b", "c"), ("",) * 3
    )


def test_correlations_agree_with_scikit_learn(dataset):
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold

    w, values = np.asarray(dataset.w, np.float64)[:2000], np.asarray(dataset.values, np.float64)[:2000]
    predicted = np.zeros_like(values)
    for seen, unseen in KFold(5).split(w):
        centered = w[seen] - w[seen].mean(0)
        model = Ridge(alpha=0.03 * np.trace(centered.T @ centered) / 16).fit(w[seen], values[seen])
        predicted[unseen] = model.predict(w[unseen])
    expected = [np.corrcoef(predicted[:, i], values[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(ridge_correlations(dataset.w, dataset.values), expected, atol=2e-4)


def test_only_what_can_be_predicted_is_kept(dataset):
    assert list(predictable_attributes(dataset)) == ["a", "b"]
    assert list(predictable_attributes(dataset, least=0.9)) == ["a"]


def test_bad_input(dataset):
    with pytest.raises(InputError, match="'b'"):
        predictable_attributes(dataclasses.replace(dataset, values=dataset.values.at[:, 1].set(3.0)))
    few = dataclasses.replace(dataset, w=dataset.w[:20], values=dataset.values[:20])
    with pytest.raises(InputError, match="expected 50 samples or more"):
        predictable_attributes(few)
    with pytest.raises(InputError, match="got infinity in 1 of 2003 rows"):
        dataclasses.replace(dataset, values=dataset.values.at[3, 1].set(jnp.inf))
