"""Edits as two views see them: what only the first one sees has fooled it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.evaluation.evaluators import IndependentNetworks
from jaxedit.evaluation.views import ViewedEdit, fooled, view_edits


class Second:
    """Sees red as the first view does, blue hardly, green not at all, and knows nothing else."""

    names = ("red@other", "blue@other", "blue@third", "hue@other")

    def __call__(self, images):
        red, green, blue = images.mean((1, 2)).T
        return jnp.stack([red, green + 0.1 * blue, green, red - blue], axis=1)


def reference(toy, classifier):
    """The classifier with its readings of 300 images."""
    w = jax.random.normal(jax.random.key(7), (300, toy.w_dim))
    return IndependentNetworks(
        classifier, reference=np.asarray(classifier(jnp.clip(toy.synthesis(w), -1, 1)))
    )


def test_what_the_second_view_does_not_see_is_named(toy, toy_axes, classifier, toy_w):
    edits = view_edits(
        toy, toy_axes, classifier, reference(toy, Second()), 0.3 * toy_w, amount=1.0, progress=False
    )
    assert [(edit.attribute, edit.amount) for edit in edits] == [
        ("red", 1.0),
        ("red", -1.0),
        ("blue", 1.0),
        ("blue", -1.0),
    ]
    red, _, blue, _ = edits
    assert red.agreement == pytest.approx(1, abs=0.2)
    assert set(blue.second) == {"blue@other", "blue@third"}
    assert blue.first == pytest.approx(1, abs=0.2)
    assert fooled(edits) == ["blue up", "blue down"]


def test_a_direction_that_nobody_sees_fools_nobody():
    edit = ViewedEdit("hat", -1.5, -0.1, {"hat@other": 0.0})
    assert edit.agreement is None
    assert not edit.fooled


def test_a_second_view_of_other_things_is_refused(toy, toy_axes, classifier, toy_w):
    class Hue:
        names = ("hue@other",)

        def __call__(self, images):
            return images.mean((1, 2))[:, :1]

    with pytest.raises(InputError, match=r"second view: expected a reference, and columns of red.*hue@other"):
        view_edits(toy, toy_axes, classifier, reference(toy, Hue()), toy_w, progress=False)
    with pytest.raises(InputError, match="got no reference"):
        view_edits(toy, toy_axes, classifier, IndependentNetworks(Second()), toy_w, progress=False)
