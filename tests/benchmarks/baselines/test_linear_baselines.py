import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.svm import SVC, LinearSVC

from benchmarks.baselines import covariance, ganspace, interfacegan, ridge_normal, sefa, whitened
from jaxedit.errors import InputError
from jaxedit.latents.ridge import ridge
from tests.benchmarks.baselines.known_latents import cosines


def test_covariance_directions_are_those_of_the_distribution(known_latents, split, tiny):
    method = covariance.fit(split, tiny)
    assert cosines(method.directions, known_latents.gradients @ known_latents.covariance).min() > 0.97
    np.testing.assert_allclose(jnp.einsum("ad,da->a", method.directions, split.probes), 1, rtol=1e-4)


def test_ridge_normals_are_the_gradients(known_latents, split, tiny):
    method = ridge_normal.fit(split, tiny)
    assert cosines(method.directions, known_latents.gradients).min() > 0.98


def test_ridge_penalties_are_those_of_generalized_cross_validation():
    random = np.random.RandomState(0)
    x = random.randn(60, 12) * np.geomspace(2, 0.1, 12)
    y = np.stack([x[:, 0], 0.3 * x[:, 1] + random.randn(60), random.randn(60)], 1)
    alphas = np.geomspace(1e-3, 1e2, 11)
    normals, chosen = ridge_normal.ridge_normals(jnp.asarray(x), jnp.asarray(y), jnp.asarray(alphas))
    centered = np.concatenate([x - x.mean(0)], 1)
    for i in range(3):
        scores = []
        for alpha in alphas:
            smoother = centered @ np.linalg.solve(centered.T @ centered + 60 * alpha * np.eye(12), centered.T)
            hat = smoother + 1 / 60
            residual = y[:, i] - hat @ y[:, i]
            scores.append((residual**2).mean() / (1 - np.trace(hat) / 60) ** 2)
        best = alphas[np.argmin(scores)]
        assert float(chosen[i]) == pytest.approx(best, rel=1e-4)
        target = centered.T @ (y[:, i] - y[:, i].mean())
        expected = np.linalg.solve(centered.T @ centered + 60 * best * np.eye(12), target)
        np.testing.assert_allclose(normals[i], expected, rtol=1e-3, atol=1e-5)
    assert chosen[2] > chosen[0], "noise is worth a large penalty"


def test_whitened_directions_change_one_prediction_each(known_latents, split, tiny):
    names = ("age", "gender", "smile")
    method = whitened.fit(split, tiny, num_components=16)
    assert method.attribute_names == names
    scale = jnp.sqrt(split.pca.explained_variance)
    B = ridge(split.pca.transform(split.w) / scale, split.labels[:, :3])
    moves = (method.directions @ split.pca.components.T) / scale
    np.testing.assert_allclose(moves @ B, np.eye(3), atol=1e-4)
    # The truth: C G (GᵀCG)⁻¹.
    G = known_latents.gradients[:3].T
    expected = (known_latents.covariance @ G @ np.linalg.inv(G.T @ known_latents.covariance @ G)).T
    assert cosines(method.directions, expected).min() > 0.98
    # No shorter move of x has these effects.
    other = jnp.linalg.lstsq(B.T, jnp.eye(3))[0].T
    np.testing.assert_allclose(jnp.linalg.norm(moves, axis=1), jnp.linalg.norm(other, axis=1), rtol=1e-3)


def test_whitened_directions_of_fewer_components_stay_among_them(split, tiny):
    method = whitened.fit(split, tiny, attribute_names=["smile", "age"], num_components=5)
    assert method.attribute_names == ("smile", "age")
    coordinates = np.asarray(method.directions @ split.pca.components.T)
    assert np.abs(coordinates[:, 5:]).max() < 1e-5
    with pytest.raises(InputError, match="num_components"):
        whitened.fit(split, tiny, num_components=2)


@pytest.fixture(scope="module")
def two_classes():
    random = np.random.RandomState(0)
    y = np.where(np.arange(120) < 60, 1.0, -1.0)
    x = random.randn(120, 10) + 0.6 * y[:, None] * (np.arange(10) < 3)
    return x.astype(np.float32), y.astype(np.float32)


@pytest.mark.parametrize("C", [1.0, 0.05, 10.0])
def test_the_support_vector_machine_is_that_of_scikit_learn(two_classes, C):
    x, y = two_classes
    x = x + 5  # the bias has something to do
    ours = interfacegan.linear_svm(x, y, C, tolerance=1e-4)
    libsvm = SVC(kernel="linear", C=C, tol=1e-6).fit(x, y)
    np.testing.assert_allclose(ours.weights, libsvm.coef_[0], atol=2e-3 * np.abs(libsvm.coef_).max())
    b = float(ours.bias - ours.weights @ x.mean(0))
    assert b == pytest.approx(libsvm.intercept_[0], abs=5e-3 * max(1, abs(libsvm.intercept_[0])))
    assert ours.violation <= 1e-4
    assert -1e-4 < float(ours.gap) < 1e-3


def test_the_support_vector_machine_is_that_of_liblinear(two_classes):
    x, y = two_classes
    liblinear = LinearSVC(loss="hinge", intercept_scaling=30.0, tol=1e-7, max_iter=1_000_000).fit(x, y)
    np.testing.assert_allclose(interfacegan.linear_svm(x, y, 1.0).weights, liblinear.coef_[0], atol=1e-2)


def test_too_few_steps_show(two_classes):
    x, y = two_classes
    stopped = interfacegan.linear_svm(x, y, 1.0, max_steps=20)
    assert stopped.gap > 0.01
    assert stopped.violation > 0.01


def test_boundaries_are_those_of_libsvm_between_the_extremes(split):
    normals = interfacegan.boundary_normals(split.w, split.labels, share=0.05, C=1.0)
    np.testing.assert_allclose(jnp.linalg.norm(normals, axis=1), 1, rtol=1e-5)
    w, labels = np.asarray(split.w), np.asarray(split.labels)
    count = int(0.05 * len(w))
    for i, normal in enumerate(np.asarray(normals)):
        order = np.argsort(labels[:, i])
        rows = np.concatenate([order[-count:], order[:count]])
        reference = SVC(kernel="linear").fit(w[rows], np.repeat([1, 0], count))
        assert cosines(normal, reference.coef_[0]) > 0.9999
        assert np.corrcoef(w @ normal, labels[:, i])[0, 1] > 0.7


def test_conditional_normals_leave_the_others_alone(split, tiny):
    plain = interfacegan.fit(split, tiny)
    conditional = interfacegan.fit(split, tiny, conditional=True)
    assert conditional.name == "interfacegan-conditional"
    unit = plain.directions / jnp.linalg.norm(plain.directions, axis=1, keepdims=True)
    along = np.asarray(conditional.directions @ unit.T)
    chosen = [split.attribute_names.index(name) for name in split.leakage_attributes()]
    for i in range(len(unit)):
        others = [j for j in chosen if j != i]
        np.testing.assert_allclose(along[i, others], 0, atol=1e-4)
        assert along[i, i] > 0.1
    # With one condition it is n₁ − (n₁·n₂) n₂, as published.
    one = interfacegan.fit(split, tiny, conditional=True, conditions=["age"])
    expected = unit[1] - (unit[1] @ unit[0]) * unit[0]
    assert cosines(one.directions[1], expected) > 0.9999
    assert cosines(one.directions[0], unit[0]) > 0.9999


@pytest.mark.parametrize("options", [{"share": 0.0}, {"share": 0.6}, {"C": 0.0}])
def test_interfacegan_refuses_numbers_out_of_range(split, tiny, options):
    with pytest.raises(InputError):
        interfacegan.fit(split, tiny, **options)


def test_ganspace_finds_the_component_of_an_attribute(split, tiny):
    import dataclasses

    coordinates = split.pca.transform(split.w)
    names = ("age", "yaw", "hat")
    labels = jnp.stack([-coordinates[:, 4], coordinates[:, 0], coordinates[:, 9]], axis=1)
    planted = dataclasses.replace(
        split,
        dataset=dataclasses.replace(
            split.dataset,
            values=split.dataset.values[:, :3],
            attribute_names=names,
            attribute_units=("",) * 3,
        ),
        labels=labels,
        probes=(split.pca.components[jnp.array([4, 0, 9])] * jnp.array([[-1.0], [1.0], [1.0]])).T,
    )
    everywhere = ganspace.fit(planted, tiny, num_components=10, all_layers=True)
    expected = split.pca.components[jnp.array([4, 0, 9])] * jnp.array([[-1.0], [1.0], [1.0]])
    np.testing.assert_allclose(cosines(everywhere.directions, expected), 1, atol=1e-5)
    layered = ganspace.fit(planted, tiny, num_components=10)
    moved = np.abs(np.asarray(layered.directions)).sum(2) > 0
    np.testing.assert_array_equal(moved[0], np.isin(range(6), [4, 5]))  # published 4…6; the last layer is 5
    assert moved[1].all()
    assert moved[2].all()
    np.testing.assert_allclose(layered.directions[0, 4], everywhere.directions[0])
    for number in (0, 17):
        with pytest.raises(InputError, match="num_components"):
            ganspace.fit(planted, tiny, num_components=number)


def test_layers_beyond_the_generator_become_its_last():
    assert ganspace.layers_for("smile", 16) == range(3, 6)
    assert ganspace.layers_for("lip_redness", 8) == range(7, 8)
    assert ganspace.layers_for("moustache", 16) == range(16)


def test_layers_act_only_through_their_style_weights(tiny):
    """A layer whose style weights are zero has no effect; the other layers keep theirs."""
    from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
    from jaxedit.nn.parameters import module_params

    layers = [layer for layer, _ in sefa.style_weights(tiny)]
    assert sorted(set(layers)) == list(range(tiny.num_ws))
    w = jax.random.normal(jax.random.key(1), (1, tiny.num_ws, tiny.w_dim))

    def acting(generator) -> list[int]:
        base = generator.synthesis(w)
        return [
            i
            for i in range(tiny.num_ws)
            if np.abs(generator.synthesis(w.at[:, i].add(1.0)) - base).max() > 1e-6
        ]

    assert acting(tiny) == list(range(tiny.num_ws))
    for layer in range(tiny.num_ws):
        without = MobileStyleGAN(tiny.config, module_params(tiny))
        for own, module in zip(layers, affines(without), strict=True):
            if own == layer:
                module.weight[...] = jnp.zeros_like(module.weight[...])
        assert acting(without) == [i for i in range(tiny.num_ws) if i != layer]


def affines(generator) -> list:
    modules = [generator.input_conv.modulation]
    for block in generator.blocks:
        modules += [block.up, block.conv1.modulation, block.conv2.modulation]
        modules += [] if block.head is None else [block.head.modulation]
    return modules


def test_semantics_diagonalize_the_style_weights():
    random = np.random.RandomState(0)
    weights = [random.randn(6, 10).astype(np.float32), (5 * random.randn(6, 4)).astype(np.float32)]
    semantics, eigenvalues = sefa.factorize([jnp.asarray(a) for a in weights])
    A = np.concatenate(weights, 1)
    A = A / np.linalg.norm(A, axis=0)
    diagonal = np.asarray(semantics @ A @ A.T @ semantics.T)
    np.testing.assert_allclose(diagonal, np.diag(eigenvalues), atol=1e-4)
    np.testing.assert_allclose(semantics @ semantics.T, np.eye(6), atol=1e-5)
    assert (np.diff(eigenvalues) <= 0).all()
    # No direction changes the normalized styles more than the first.
    others = random.randn(1000, 6)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    assert (np.linalg.norm(others @ A, axis=1) ** 2).max() <= float(eigenvalues[0]) + 1e-5


def test_sefa_moves_along_one_of_the_semantics(split, tiny):
    method = sefa.fit(split, tiny, num_semantics=5)
    semantics = sefa.factorize([weight for _, weight in sefa.style_weights(tiny)])[0][:5]
    unit = method.directions / jnp.linalg.norm(method.directions, axis=1, keepdims=True)
    alignment = np.abs(np.asarray(unit @ semantics.T))
    np.testing.assert_allclose(alignment.max(1), 1, atol=1e-4)
    coordinates = np.asarray(split.w @ semantics.T)
    for i in range(4):
        correlations = [abs(np.corrcoef(c, np.asarray(split.labels)[:, i])[0, 1]) for c in coordinates.T]
        assert alignment[i].argmax() == int(np.argmax(correlations))


def test_sefa_of_some_layers(split, tiny):
    method = sefa.fit(split, tiny, layers=range(1, 3), num_semantics=5)
    moved = np.abs(np.asarray(method.directions)).sum(2) > 0
    np.testing.assert_array_equal(moved, np.tile(np.isin(range(6), [1, 2]), (4, 1)))
    weights = [weight for layer, weight in sefa.style_weights(tiny) if layer in (1, 2)]
    semantics = sefa.factorize(weights)[0][:5]
    direction = method.directions[0, 1] / jnp.linalg.norm(method.directions[0, 1])
    assert float(jnp.abs(semantics @ direction).max()) == pytest.approx(1, abs=1e-4)
    for options in ({"layers": range(6, 8)}, {"num_semantics": 0}, {"num_semantics": 17}):
        with pytest.raises(InputError):
            sefa.fit(split, tiny, **options)
    with pytest.raises(InputError, match="MobileStyleGAN"):
        sefa.style_weights(object())
