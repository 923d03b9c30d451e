import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.baselines import latent_transformer
from benchmarks.baselines.latent_transformer import Config
from jaxedit.errors import InputError
from tests.benchmarks.baselines.known_latents import TRANSFORMERS


@pytest.fixture(scope="module")
def classes(split):
    return (split.labels > jnp.median(split.labels, axis=0)).astype(jnp.float32)


@pytest.fixture(scope="module")
def classifier(split, classes):
    return latent_transformer.train_classifier(split.w, classes, TRANSFORMERS, jax.random.key(0))


def trained(split, classes, classifier, config, leniency=1.0):
    correlations = leniency * jnp.corrcoef(classes, rowvar=False)[:3]
    targets = jnp.eye(4)[:3]
    return latent_transformer.train_transformers(
        split.w, classifier, targets, correlations, config, jax.random.key(1)
    )


@pytest.fixture(scope="module")
def transformer(split, classes, classifier):
    return trained(split, classes, classifier, TRANSFORMERS)


def changes(split, classifier, transformer, amount) -> np.ndarray:
    """Mean change of every logit by every transformer, [transformers, attributes]."""
    w = split.held_out_w
    rows = []
    for kernel, bias in zip(transformer.kernel, transformer.bias, strict=True):
        edited = w + amount * (w @ kernel + bias)
        rows.append(
            (
                latent_transformer.classify(classifier, edited) - latent_transformer.classify(classifier, w)
            ).mean(0)
        )
    return np.asarray(jnp.stack(rows))


def test_the_classifier_knows_latents_that_it_has_not_seen(split, classifier):
    logits = latent_transformer.classify(classifier, split.held_out_w)
    right = (logits > 0) == (split.held_out_labels > jnp.median(split.labels, axis=0))
    assert float(right.mean(0).min()) > 0.83  # of 0.90 that the noise allows


def test_transformers_move_their_target_either_way_and_keep_the_others(split, classifier, transformer):
    for amount in (1.0, -1.0):
        change = amount * changes(split, classifier, transformer, amount)
        own = np.diagonal(change)
        assert own.min() > 2
        # Age and gender go together, and the loss lets them; every other pair it keeps apart.
        for i, j in ((0, 2), (0, 3), (1, 2), (1, 3), (2, 0), (2, 1), (2, 3)):
            assert abs(change[i, j]) < 0.25 * own[i]


@pytest.mark.slow
def test_the_weights_of_the_loss_do_what_they_are_for(split, classes, classifier, transformer):
    def leakage_and_length(transformer):
        change = changes(split, classifier, transformer, 1.0)
        own = np.diagonal(change)
        residual = jnp.einsum("nd,ade->nae", split.w, transformer.kernel) + transformer.bias
        return (np.abs(change).sum(1) - own).sum() / own.sum(), float(
            jnp.linalg.norm(residual, axis=2).mean()
        )

    def with_weights(**options):
        return trained(split, classes, classifier, dataclasses.replace(TRANSFORMERS, **options))

    leakage, length = leakage_and_length(transformer)
    free, _ = leakage_and_length(with_weights(attribute_weight=0.0))
    _, short = leakage_and_length(with_weights(reconstruction_weight=100.0))
    assert leakage < 0.6 * free
    assert short < 0.8 * length


@pytest.mark.slow
def test_what_goes_with_the_target_may_change_more(split, classes, classifier, transformer):
    strict = trained(split, classes, classifier, TRANSFORMERS, leniency=0.0)

    def gender_with_age(transformer):
        change = changes(split, classifier, transformer, 1.0)[0]
        return change[1] / change[0]

    assert gender_with_age(strict) < 0.8 * gender_with_age(transformer)


def test_the_method_adds_the_residual(split, tiny):
    def fit(seed):
        names = ["smile", "age", "gender"]
        return latent_transformer.fit(split, tiny, attribute_names=names, config=TRANSFORMERS, seed=seed)

    method = fit(0)
    assert method.attribute_names == ("smile", "age", "gender")
    w, amounts = split.w[:3], jnp.array([0.0, 1.0, -2.0])
    residual = w @ method.kernels[1] + method.biases[1]
    np.testing.assert_allclose(
        method.edit(w, "age", amounts), w + amounts[:, None] * residual, rtol=1e-5, atol=1e-5
    )
    np.testing.assert_array_equal(method.kernels, fit(0).kernels)
    assert np.abs(method.kernels - fit(1).kernels).max() > 1e-4


def test_what_cannot_be_trained_is_refused(split, tiny):
    with pytest.raises(InputError, match="attribute_weight"):
        Config(attribute_weight=-1.0)
    with pytest.raises(InputError, match="attribute names"):
        latent_transformer.fit(split, tiny, attribute_names=["beard"])
    few = dataclasses.replace(split, w=split.w[:10], labels=split.labels[:10])
    with pytest.raises(InputError, match="batch"):
        latent_transformer.fit(few, tiny)
