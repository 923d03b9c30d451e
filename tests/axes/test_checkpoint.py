import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxedit.axes import AttributeAxes, AxesConfig
from jaxedit.axes.autoencoder import AxisAutoencoder
from jaxedit.axes.checkpoint import from_checkpoint, to_checkpoint
from jaxedit.axes.learning.network import TrainedAutoencoder
from jaxedit.errors import CheckpointError
from jaxedit.storage.checkpoints import save_checkpoint

K = 5
CONFIGS = [
    AxesConfig(num_layers=3, hidden_width=7),
    AxesConfig.paper(num_layers=2, hidden_width=6),
    AxesConfig(num_layers=1),
]


def trained(config: AxesConfig) -> TrainedAutoencoder:
    """An autoencoder in which no array, statistics included, is what it starts as."""
    network = TrainedAutoencoder(K, config, rngs=nnx.Rngs(0))
    r = np.random.RandomState(1)
    state = jax.tree.map(lambda a: jnp.asarray(r.uniform(0.5, 1.5, a.shape), jnp.float32), nnx.state(network))
    nnx.update(network, state)
    return network


def evaluated(network: TrainedAutoencoder, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes of x and the decoding of x, by the layers and the running statistics of the module."""

    def normalized(norm, x):
        scale, bias, mean, var = (np.asarray(a[...]) for a in (norm.scale, norm.bias, norm.mean, norm.var))
        return (x - mean) / np.sqrt(var + 1e-5) * scale + bias

    def mlp(part, x):
        for layer, norm in zip(part.layers[:-1], part.norms, strict=True):
            x = x @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
            x = normalized(norm, np.where(x > 0, x, part.leaky_slope * x))
        return x @ np.asarray(part.layers[-1].kernel[...]) + np.asarray(part.layers[-1].bias[...])

    if network.linear is None:
        return normalized(network.code_norm, mlp(network.encoder, x)), mlp(network.decoder, x)
    scale, encoder, decoder = (
        np.asarray(getattr(network.linear, name)[...]) for name in ("scale", "encoder", "decoder")
    )
    white = x / scale
    return white @ encoder + mlp(network.encoder, white), (x @ decoder + mlp(network.decoder, x)) * scale


def assert_evaluates_alike(found: AxisAutoencoder, network: TrainedAutoencoder) -> None:
    x = np.random.RandomState(2).randn(4, K).astype(np.float32)
    codes, decoded = evaluated(network, x)
    np.testing.assert_allclose(found.encode(jnp.asarray(x)), codes, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.decode(jnp.asarray(x)), decoded, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("config", CONFIGS)
def test_batch_norms_are_folded_into_the_weights(config):
    network = trained(config)
    assert_evaluates_alike(network.frozen(), network)


def former_arrays(network: TrainedAutoencoder) -> dict[str, np.ndarray]:
    """The arrays under the names by which earlier versions kept them."""
    arrays = {}
    for part in ("encoder", "decoder"):
        mlp = getattr(network, part)
        for i, layer in enumerate(mlp.layers):
            arrays |= {f"{part}_layers_{i}__{n}_value": getattr(layer, n)[...] for n in ("kernel", "bias")}
        for i, norm in enumerate(mlp.norms):
            names = ("scale", "bias", "mean", "var")
            arrays |= {f"{part}_norms_{i}__{n}_value": getattr(norm, n)[...] for n in names}
    if network.linear is not None:
        arrays |= {
            f"linear_{n}_value": getattr(network.linear, n)[...] for n in ("scale", "encoder", "decoder")
        }
    else:
        names = ("scale", "bias", "mean", "var")
        arrays |= {f"code_norm_{n}_value": getattr(network.code_norm, n)[...] for n in names}
    return {name: np.asarray(array) for name, array in arrays.items()}


@pytest.mark.parametrize("config", CONFIGS)
def test_axes_of_an_earlier_version_load(axes, config, tmp_path):
    network = trained(config)
    r = np.random.RandomState(4)
    new_config, arrays = to_checkpoint(axes)
    arrays = dict(arrays)
    arrays["gaussianiser"] = arrays.pop("quantile_transform")
    arrays["autoencoder"] = former_arrays(network)
    arrays["steps"] = {
        "coordinates": r.randn(3, 2, K).astype(np.float32),
        "bends": r.randn(3, 2, K).astype(np.float32),
        "ends": np.float32([[-1, 1]] * 3),
        "slopes": np.ones(3, np.float32),
        "group_of_layer": np.int32([0, 0, 1, 1]),
    }
    settings = new_config["config"] | {
        name: getattr(config, name) for name in ("num_layers", "hidden_width", "leaky_slope")
    }
    if not config.linear_path:
        settings |= {"linear_path": False, "input_noise": 0.0}
    former = {name: value for name, value in new_config.items() if name != "layer_curves"}
    former |= {"num_components": K, "config": settings, "layer_steps": True}
    folder = save_checkpoint(tmp_path / "axes", kind="axes", config=former, arrays=arrays)
    loaded = AttributeAxes.load(folder)
    assert_evaluates_alike(loaded.autoencoder, network)
    np.testing.assert_array_equal(loaded.curves.tangents, arrays["steps"]["coordinates"])
    np.testing.assert_array_equal(loaded.curves.curvatures, arrays["steps"]["bends"])
    np.testing.assert_array_equal(loaded.quantile_transform.values, axes.quantile_transform.values)
    assert loaded.edit(np.zeros((2, 32), np.float32), {"age": 1.0}).shape == (2, 4, 32)


def test_config_and_arrays_give_the_same_axes_back(axes):
    config, arrays = to_checkpoint(axes)
    again = AttributeAxes(**from_checkpoint(json.loads(json.dumps(config)), arrays))
    assert jax.tree.structure(again) == jax.tree.structure(axes)
    jax.tree.map(np.testing.assert_array_equal, again, axes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config, arrays: arrays.pop("pca"), "'pca'"),
        (lambda config, arrays: arrays["autoencoder"].pop("linear"), "'linear'"),
        (lambda config, arrays: arrays["autoencoder"]["encoder"].pop("bias_1"), "'bias_1'"),
        (lambda config, arrays: config["config"].update(hidden_width=9), "encoder: expected kernels"),
        (lambda config, arrays: config.update(num_components=9), "encoder: expected kernels"),
        (lambda config, arrays: config["config"].update(unknown=1), "unknown"),
    ],
)
def test_what_does_not_fit_is_refused(axes, change, message):
    config, arrays = to_checkpoint(axes)
    change(config, arrays)
    with pytest.raises(CheckpointError, match=message):
        from_checkpoint(config, arrays)
