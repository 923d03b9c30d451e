"""Amounts after which images show a value, where the axes promise too much."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.axes.seen_values import amounts_to_show
from jaxedit.errors import InputError


class Dull:
    """The toy's colors, 0.7 of what the axes promise."""

    names = ("red", "green", "blue")

    def __init__(self, classifier):
        self.classifier = classifier

    def __call__(self, images):
        return 0.7 * self.classifier(images)


def test_the_image_shows_the_value(toy, toy_axes, classifier, toy_w):
    target = float(np.asarray(toy_axes.quantile_transform.inverse_transform(jnp.full((1, 3), 0.8)))[0, 0])
    amounts, seen = amounts_to_show(toy, toy_axes, Dull(classifier), 0.3 * toy_w, {"red": target}, rounds=6)
    np.testing.assert_allclose(seen["red"], target, atol=0.05 * abs(target))
    # The value that is read off the latent alone is 0.7 of that.
    promised = toy_axes.read(toy_axes.edit(0.3 * toy_w, amounts))[:, 0]
    assert (np.abs(np.asarray(promised)) > 1.2 * abs(target)).all()


def test_several_values_at_once(toy, toy_axes, classifier, toy_w):
    raw = np.asarray(toy_axes.quantile_transform.inverse_transform(jnp.asarray([[0.5, -0.5, 0.0]])))[0]
    wanted = {"green": float(raw[1]), "red": float(raw[0])}
    _, seen = amounts_to_show(toy, toy_axes, classifier, 0.3 * toy_w, wanted, rounds=6)
    for name, value in wanted.items():
        np.testing.assert_allclose(seen[name], value, atol=0.05)


def test_what_is_not_known_is_refused(toy, toy_axes, classifier, toy_w):
    with pytest.raises(InputError, match=r"attributes of the axes, red.*got 'hat'"):
        amounts_to_show(toy, toy_axes, classifier, toy_w, {"hat": 1.0})
    with pytest.raises(InputError, match="rounds: expected 1 or more"):
        amounts_to_show(toy, toy_axes, classifier, toy_w, {"red": 1.0}, rounds=0)
