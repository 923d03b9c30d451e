import dataclasses

import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.evaluation.effects import EffectsConfig, effect_matrix, effects_of_steps
from jaxedit.evaluation.report.contact_sheet import render_edit_steps


def test_exact_axes_change_their_own_attribute_alone(toy, toy_axes, classifier, toy_w):
    measured = effect_matrix(toy, toy_axes, classifier, 0.3 * toy_w, progress=False)
    assert measured.target_names == measured.measured_names == ("red", "green", "blue")
    np.testing.assert_allclose(measured.effects, np.eye(3), atol=0.08)
    np.testing.assert_allclose(measured.leakage, 0, atol=0.08)
    assert measured.identity_distance is None


def test_image_and_probes_agree(toy, toy_axes, classifier, toy_w):
    measured = effect_matrix(toy, toy_axes, classifier, 0.3 * toy_w, progress=False)
    np.testing.assert_allclose(measured.effects, toy_axes.report.effects, atol=0.08)


def test_effects_do_not_depend_on_the_batch_size(toy, toy_axes, classifier, toy_w):
    one, other = (
        effect_matrix(
            toy, toy_axes, classifier, toy_w, EffectsConfig(amount=0.5, batch_size=size), progress=False
        )
        for size in (1, 4)
    )
    np.testing.assert_allclose(one.effects, other.effects, atol=1e-5)


def test_a_plain_function_measures_too(toy, toy_axes, classifier, toy_w):
    class Plain:
        names = ("blue", "red", "more", "green")

        def __call__(self, images):
            return 10 * images.mean((1, 2))[:, [2, 0, 0, 1]]

    plain = effect_matrix(toy, toy_axes, Plain(), toy_w, progress=False)
    module = effect_matrix(toy, toy_axes, classifier, toy_w, progress=False)
    np.testing.assert_allclose(plain.effects, module.effects, atol=1e-5)


def test_identity_distance_is_that_of_the_edit(toy, toy_axes, classifier, toy_w):
    measured = effect_matrix(
        toy, toy_axes, classifier, 0.3 * toy_w, identity=lambda images: images.mean((1, 2)), progress=False
    )
    assert measured.identity_distance is not None
    np.testing.assert_allclose(measured.identity_distance, 0.1, atol=0.02)


def test_chosen_axes_are_measured_against_all_attributes(toy, toy_axes, classifier, toy_w):
    measured = effect_matrix(
        toy, toy_axes, classifier, toy_w, EffectsConfig(attribute_names=["blue"]), progress=False
    )
    assert measured.effects.shape == (1, 3)
    assert measured.leakage.shape == (1,)
    assert measured.leakage[0] < 0.1


def test_wrong_input_is_named(toy, toy_axes, classifier, toy_w):
    with pytest.raises(InputError, match="amount"):
        EffectsConfig(amount=-1.0)
    with pytest.raises(InputError, match="latents"):
        effect_matrix(toy, toy_axes, classifier, toy_w[0])
    with pytest.raises(InputError, match=r"hue.*known"):
        effect_matrix(
            toy, toy_axes, classifier, toy_w, EffectsConfig(attribute_names=["hue"]), progress=False
        )
    renamed = dataclasses.replace(toy_axes, attribute_names=("red", "green", "hue"))
    with pytest.raises(InputError, match="does not know hue"):
        effect_matrix(toy, renamed, classifier, toy_w)


def test_progress_goes_to_the_end(toy, toy_axes, classifier, toy_w, capsys):
    effect_matrix(toy, toy_axes, classifier, toy_w, identity=classifier)
    assert "35/35" in capsys.readouterr().err  # 5 originals, 3 axes × 5 latents × 2 sides


def test_effects_of_rendered_steps_agree(toy, toy_axes, classifier, toy_w):
    latents = 0.3 * toy_w[:2]
    faces = [render_edit_steps(toy, toy_axes, w, attribute_names=["blue", "red"], size=16) for w in latents]
    rendered = effects_of_steps(faces, toy_axes, classifier, batch_size=3, progress=False)
    measured = effect_matrix(
        toy, toy_axes, classifier, latents, EffectsConfig(attribute_names=["blue", "red"]), progress=False
    )
    assert rendered.target_names == ("blue", "red")
    np.testing.assert_allclose(rendered.effects, measured.effects, atol=0.05)  # pixels are rounded to a 255th
    with pytest.raises(InputError, match="edits by 3"):
        effects_of_steps(faces, toy_axes, classifier, amount=3.0)

    class Red:
        names = ("red",)

        def __call__(self, images):
            return classifier(images)[:, [tuple(classifier.names).index("red")]]

    some = effects_of_steps(faces, toy_axes, Red(), batch_size=3, progress=False)
    assert (some.target_names, some.measured_names) == (("red",), ("red",))
    np.testing.assert_allclose(some.effects, rendered.effects[1:, [toy_axes.attribute_names.index("red")]])
    with pytest.raises(InputError, match="classifier: expected one that measures some of blue, it knows red"):
        effects_of_steps([dataclasses.replace(f, attribute_names=("blue",)) for f in faces], toy_axes, Red())
