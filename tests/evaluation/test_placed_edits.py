"""Latents that carry an edit and its place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.attributes.person.places import ATTRIBUTE_PLACES, PLACES
from jaxedit.errors import InputError
from jaxedit.evaluation.comparison import evaluate
from jaxedit.evaluation.config import EvaluationConfig
from jaxedit.evaluation.effects import EffectsConfig, effect_matrix
from jaxedit.evaluation.evaluators import Evaluators
from jaxedit.evaluation.in_places import Placing, PlacingGenerator, carried, carry, placed
from jaxedit.evaluation.methods import AxesMethod, CalibratedMethod, LinearDirections

METHOD = LinearDirections("ours", ("red",), np.eye(6, dtype=np.float32)[:1])


def test_what_is_carried_comes_back(toy, toy_w):
    w = jnp.asarray(toy_w)
    rows = carry(w, 2 * w[:, None] * jnp.ones((1, toy.num_ws, 1)), "glasses", toy.num_ws)
    assert rows.shape == (5, 9, 6)
    before, after, place = carried(rows)
    np.testing.assert_array_equal(before[:, 3], w)
    np.testing.assert_array_equal(after[:, 1], 2 * w)
    assert set(np.asarray(place)) == {PLACES.index("glasses")}


def test_a_placing_generator_draws_both_kinds_of_latents(toy, toy_w, places):
    placing = PlacingGenerator(toy, places)
    draw = jax.jit(lambda generator, w: generator.synthesis(w))
    w = jnp.asarray(toy_w)
    plain = np.asarray(toy.synthesis(w))
    np.testing.assert_array_equal(draw(placing, w), plain)
    np.testing.assert_array_equal(draw(placing, jnp.repeat(w[:, None], 4, 1)), plain)
    edited = placed(METHOD, toy.num_ws).edit(w, "red", jnp.full(5, 1.5))
    drawn = np.asarray(draw(placing, edited))
    np.testing.assert_array_equal(drawn[:, :, 10:], plain[:, :, 10:])
    np.testing.assert_allclose(drawn[:, :, :6, 0], plain[:, :, :6, 0] + 0.15, atol=1e-6)
    with pytest.raises(InputError, match="draws edits at their places"):
        placing.describe()


def test_effects_are_measured_at_places(toy, toy_axes, classifier, toy_w, places):
    config = EffectsConfig(attribute_names=("red",))
    whole = effect_matrix(toy, toy_axes, classifier, toy_w, config, progress=False).effects
    half = effect_matrix(
        PlacingGenerator(toy, places), toy_axes, classifier, toy_w, config, progress=False
    ).effects
    assert 0.3 * whole[0, 0] < half[0, 0] < 0.7 * whole[0, 0]


def test_axes_have_places_and_directions_change_the_person(toy, toy_axes, places):
    own = AxesMethod("own", toy_axes)
    axes, directions = Placing.of(toy, (own, METHOD), places).methods
    assert axes.place_of("smile") == ATTRIBUTE_PLACES["smile"] and axes.place_of("red") == "person"
    assert directions.place_of("smile") == "person"
    alone = Placing.of(toy, (own,), places, person_alone=True).methods[0]
    assert alone.place_of("smile") == "person"
    assert Placing.of(toy, (own,), None).methods == (own,)
    assert isinstance(axes, CalibratedMethod) and not isinstance(directions, CalibratedMethod)
    rows = axes.edit_to(jnp.zeros((1, 6)), "red", jnp.ones(1))
    np.testing.assert_allclose(carried(rows)[1][0, 0], own.edit_to(jnp.zeros((1, 6)), "red", jnp.ones(1))[0])


def test_an_evaluation_of_edits_at_places(toy, toy_axes, classifier, toy_w, places, tmp_path):
    config = EvaluationConfig(("red",), change=0.3, pilot=4, sheet_faces=1, num_resamples=20)
    placing = Placing.of(toy, (METHOD,), places)
    amounts = []
    for name, generator, methods in (
        ("whole", toy, (METHOD,)),
        ("half", placing.generator, placing.methods),
    ):
        result = evaluate(
            generator, methods, toy_w, Evaluators(classifier), config, out=tmp_path / name, progress=False
        )
        amounts.append(result.cells["ours", "red"].amounts[1])
    assert amounts[1] == pytest.approx(2 * amounts[0], rel=0.15)  # half of the image moves
