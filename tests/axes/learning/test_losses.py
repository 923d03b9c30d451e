import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.axes.autoencoder import linear_solution
from jaxedit.axes.learning.losses import (
    attribute_loss,
    correlation_matrix,
    correlation_target,
    decorrelation_loss,
    reconstruction_loss,
)
from jaxedit.latents.ridge import ridge


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.RandomState(seed).randn(*shape), jnp.float32)


def test_losses_by_hand():
    head, other, labels = normal(8, 5), normal(8, 5, seed=1), normal(8, 2, seed=2)
    np.testing.assert_allclose(
        reconstruction_loss(head, other, 12), ((other - head) ** 2).sum() / (8 * 12), rtol=1e-5
    )
    np.testing.assert_allclose(
        attribute_loss(head, labels), ((head[:, :2] - labels) ** 2).sum(1).mean(), rtol=1e-5
    )
    np.testing.assert_allclose(correlation_matrix(head), np.corrcoef(head.T), atol=1e-5)
    expected = np.abs(np.corrcoef(head.T) - np.eye(5)).sum()
    np.testing.assert_allclose(decorrelation_loss(head, jnp.eye(5)), expected, rtol=1e-4)


def test_natural_target_keeps_the_correlations_of_the_labels():
    labels = normal(50, 2)
    target = correlation_target(labels, 4)
    np.testing.assert_allclose(target[:2, :2], np.corrcoef(labels.T), atol=1e-5)
    np.testing.assert_array_equal(target[2:, 2:], np.eye(2))
    np.testing.assert_array_equal(correlation_target(None, 3), np.eye(3))
    # Two more columns, orthogonal to the labels, to the constant and to each other.
    basis = np.linalg.qr(np.concatenate([np.ones((50, 1)), labels, normal(50, 2, seed=3)], axis=1))[0]
    codes = jnp.asarray(np.concatenate([labels, basis[:, 3:]], axis=1), jnp.float32)
    assert decorrelation_loss(codes, target) < 1e-3


def test_gradients_are_finite_for_a_code_without_variance():
    codes = jnp.zeros((8, 3))
    assert np.isfinite(jax.grad(lambda c: decorrelation_loss(c, jnp.eye(3)))(codes)).all()


def test_linear_solution_is_inverted_and_its_edits_are_the_shortest():
    x = normal(4000, 10)
    labels = x @ normal(10, 3, seed=1) + normal(4000, 3, seed=2)
    encoder, decoder = map(np.asarray, linear_solution(x, labels, 0.0))
    np.testing.assert_allclose(encoder @ decoder, np.eye(10), atol=1e-5)
    B = np.asarray(ridge(x, labels))
    np.testing.assert_allclose(encoder[:, :3], B, atol=1e-6)
    for i in range(3):
        np.testing.assert_allclose(decoder[i] @ B, np.eye(3)[i], atol=1e-5)
        # All other edits with the same effect differ by a component orthogonal to the probes, and are longer.
        np.testing.assert_allclose(decoder[i] @ encoder[:, 3:], 0, atol=1e-5)


def test_damping_trades_the_length_of_an_edit_for_leakage():
    x = normal(4000, 10)
    # Two correlated attributes: an edit of one without the other is long.
    labels = x @ (normal(10, 3, seed=1) + 2 * normal(10, 1, seed=5)) / 4 + normal(4000, 3, seed=2)
    B = np.asarray(ridge(x, labels))
    lengths, others = [], []
    for damping in (0.0, 0.1, 1.0):
        encoder, decoder = map(np.asarray, linear_solution(x, labels, damping))
        np.testing.assert_allclose(encoder @ decoder, np.eye(10), atol=1e-4)
        effects = decoder[:3] @ B
        np.testing.assert_allclose(np.diag(effects), 1, atol=1e-5)
        lengths.append(np.linalg.norm(decoder[:3], axis=1).mean())
        others.append(np.abs(effects - np.eye(3)).mean())
    assert lengths[0] > lengths[1] > lengths[2]
    assert others[0] < 1e-4 < others[1] < others[2]
