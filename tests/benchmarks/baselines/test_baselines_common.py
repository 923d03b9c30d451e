import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.baselines import METHODS
from benchmarks.baselines.training_labels import in_layers, largest_correlation, prepare, scaled
from jaxedit.axes import AxesConfig
from jaxedit.errors import InputError
from jaxedit.evaluation.methods import EditingMethod
from jaxedit.labels.dataset import LabelledLatents
from tests.benchmarks.baselines.known_latents import TRANSFORMERS

SMALL = AxesConfig(num_layers=2, hidden_width=8, num_steps=1, batch_size=64)
OPTIONS = {
    "ganspace": {"num_components": 16},
    "ganspace-w": {"num_components": 16},
    "sefa": {"num_semantics": 16},
    "whitened": {"num_components": 16},
    "latent-transformer": {"config": TRANSFORMERS},
    "paper": {"config": SMALL, "num_components": 8},
}


@pytest.fixture(scope="module")
def methods(split, tiny) -> dict[str, EditingMethod]:
    """All methods, which takes long; the other modules of this folder fit each by itself."""
    return {name: fit(split, tiny, **OPTIONS.get(name, {})) for name, fit in METHODS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in METHODS if name != "paper"])
def test_each_method_moves_its_target_up(methods, split, name):
    method = methods[name]
    assert isinstance(method, EditingMethod)
    assert method.name == name
    w = split.held_out_w[:64]
    for attribute in ("age", "gender", "smile"):
        edited = method.edit(w, attribute, jnp.ones(64))
        flat = edited.mean(1) if edited.ndim == 3 else edited
        column = split.attribute_names.index(attribute)
        assert float(((flat - w) @ split.probes[:, column]).mean()) > 0.05
        still = method.edit(w, attribute, jnp.zeros(64))
        np.testing.assert_array_equal(
            still, jnp.broadcast_to(w[:, None], still.shape) if still.ndim == 3 else w
        )


@pytest.mark.slow
def test_unknown_attributes_are_refused(methods, split):
    for method in methods.values():
        with pytest.raises(InputError):
            method.edit(split.w[:2], "moustache", jnp.ones(2))


@pytest.mark.slow
def test_the_split_is_that_of_learn_axes(known_latents, split, methods):
    axes = methods["paper"].axes
    assert (len(split.w), len(split.held_out_w)) == (2800, 1200)
    assert axes.config.split_seed == AxesConfig().split_seed
    # The labels are quantile-transformed by the training split alone, as those of the axes.
    np.testing.assert_allclose(np.asarray(split.labels).std(0), 1, atol=0.02)
    raw = np.asarray(axes.quantile_transform.inverse_transform(split.labels))
    known = np.sort(np.asarray(known_latents.dataset.values)[:, 0])
    nearest = known[np.searchsorted(known, raw[:, 0]).clip(1, len(known) - 1)]
    assert np.median(np.abs(nearest - raw[:, 0])) < 1e-2


def test_held_out_samples_do_not_shape_the_probes(known_latents, split):
    w = np.asarray(known_latents.dataset.w)
    held_out = {tuple(np.round(row, 2)) for row in np.asarray(split.held_out_w)}
    mask = np.array([tuple(np.round(row, 2)) in held_out for row in w])
    values = np.asarray(known_latents.dataset.values).copy()
    values[mask] = np.random.RandomState(1).permutation(values[mask])
    changed = prepare(
        LabelledLatents(
            w, values, known_latents.dataset.attribute_names, known_latents.dataset.attribute_units
        ),
        num_components=16,
        config=AxesConfig(batch_size=64),
    )
    assert mask.sum() > 1100
    np.testing.assert_allclose(changed.probes, split.probes, atol=1e-5)


def test_one_unit_is_one_standard_deviation_of_the_probe():
    probes = jnp.array([[2.0, 0.0], [0.0, 0.01]])
    directions = jnp.array([[-3.0, 1.0], [0.0, 0.5]])
    sized = scaled(directions, probes, longest=10.0)
    assert float(sized[0] @ probes[:, 0]) == pytest.approx(1)
    np.testing.assert_allclose(sized[1], [0.0, 10.0], rtol=1e-6)
    np.testing.assert_allclose(jnp.linalg.norm(scaled(directions, probes, shortest=4.0)[0]), 4.0, rtol=1e-6)
    np.testing.assert_array_equal(scaled(jnp.zeros((2, 2)), probes), jnp.zeros((2, 2)))


def test_directions_of_some_layers():
    plus = in_layers(np.ones((2, 3)), ("age", "yaw"), {"yaw": range(1, 3)}, 4)
    np.testing.assert_array_equal(plus[:, :, 0], [[1, 1, 1, 1], [0, 1, 1, 0]])
    with pytest.raises(InputError, match="0…3"):
        in_layers(np.ones((1, 3)), ("age",), {"age": range(3, 5)}, 4)


def test_largest_correlation_is_that_of_corrcoef():
    random = np.random.RandomState(0)
    x, y = random.randn(50, 5), random.randn(50, 2)
    y[:, 1] -= 2 * x[:, 3]
    best, correlation = largest_correlation(jnp.asarray(x), jnp.asarray(y))
    expected = np.corrcoef(y.T, x.T)[:2, 2:]
    np.testing.assert_array_equal(best, np.abs(expected).argmax(1))
    np.testing.assert_allclose(correlation, expected[[0, 1], best], rtol=1e-4)
    assert best[1] == 3
    assert correlation[1] < -0.8


def test_columns_of_unknown_names_are_refused(split):
    assert split.columns(["smile", "age"]) == [2, 0]
    assert split.leakage_attributes() == ("age", "gender", "smile")
    for names in ([], ["beard"], ["age", "age"]):
        with pytest.raises(InputError, match="attribute names"):
            split.columns(names)
