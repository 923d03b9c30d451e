import jax.numpy as jnp
import numpy as np

from jaxedit.axes.layer_learning import attribute_basis, responses, solve_step


def test_steps_from_a_world_whose_responses_are_known():
    r = np.random.RandomState(0)
    k, groups, attributes = 12, 3, 3
    true = r.randn(groups, k, attributes)  # of each group
    x = r.randn(6000, k).astype(np.float32)
    labels = (x @ true.sum(0) + 0.1 * r.randn(6000, attributes)).astype(np.float32)
    basis = attribute_basis(jnp.asarray(x), jnp.asarray(labels))
    np.testing.assert_allclose(basis.T @ basis, np.eye(attributes), atol=1e-5)

    moves = r.randn(6000, groups, k).astype(np.float32)
    changes = np.einsum("ngk,gka->na", moves, true) + 0.1 * r.randn(6000, attributes)
    found = responses(jnp.asarray(moves), basis, jnp.asarray(changes, jnp.float32), regularisation=1e-6)
    expected = np.einsum("gka,km->gma", true, basis).reshape(-1, attributes)
    np.testing.assert_allclose(found, expected, atol=0.3)

    # The first group changes the person ten times as much: the step avoids it.
    identity = jnp.zeros((groups * attributes, 1))
    for rates, share in (([1.0, 0.1, 0.1], "little"), ([0.1, 0.1, 1.0], "much")):
        step = solve_step(found, found[:, :0], identity, jnp.asarray(rates), 1, length_weight=1e-4)
        np.testing.assert_allclose(found.T @ step, [0, 1, 0], atol=1e-3)
        lengths = np.linalg.norm(np.asarray(step).reshape(groups, -1), axis=1)
        assert (lengths[0] < 0.3 * lengths.max()) == (share == "little")


def test_soft_attributes_move_less_the_more_they_weigh():
    r = np.random.RandomState(1)
    held, soft = jnp.asarray(r.randn(8, 2), jnp.float32), jnp.asarray(r.randn(8, 1), jnp.float32)
    identity, rates = jnp.asarray(r.randn(8, 4), jnp.float32), jnp.ones(2)
    leaks = [
        abs(float((soft.T @ solve_step(held, soft, identity, rates, 0, soft_weight=weight))[0]))
        for weight in (0.0, 1.0, 100.0)
    ]
    assert leaks[0] > leaks[1] > leaks[2]
