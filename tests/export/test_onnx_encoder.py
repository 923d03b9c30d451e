import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.export.onnx_models import build_encoder, export_onnx
from jaxedit.inversion.encoder import COLOR_SIDE, Encoder, _array_shapes
from jaxedit.inversion.encoder_config import EncoderConfig
from jaxedit.nn.lpips import LPIPS
from tests.export.small_models import W_DIM, normal, stylegan2
from tests.export.test_onnx import evaluate

CONFIG = EncoderConfig(4, W_DIM, side=64, num_features=6, num_channels=3, num_hidden=10, num_components=5)
CHANNELS = ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))


@pytest.fixture(scope="module")
def encoder():
    convs = {
        str(i): {
            "weight": normal(window, window, inner, outer, seed=i)
            * np.float32(1.4 / np.sqrt(inner * window**2)),
            "bias": 0.1 * normal(outer, seed=10 + i),
        }
        for i, (window, inner, outer) in enumerate(CHANNELS)
    }
    heads = {str(i): np.ones(outer, np.float32) for i, (_, _, outer) in enumerate(CHANNELS)}
    trunk = LPIPS({"network": "alex"}, {"convs": convs, "heads": heads})
    params = {
        part: {
            name: jnp.asarray(0.3 * normal(*shape, seed=sum(map(ord, name))))
            for name, shape in shapes.items()
        }
        for part, shapes in _array_shapes(CONFIG).items()
    }
    params["fixed"]["scales"] = jnp.abs(params["fixed"]["scales"]) + 0.1
    return Encoder(CONFIG, trunk, params)


@pytest.fixture(scope="module")
def images():
    return jnp.clip(jax.image.resize(normal(2, 9, 9, 3), (2, 64, 64, 3), "cubic"), -1, 1)


def test_latents_are_those_of_the_library(encoder, images):
    assert (CONFIG.grid, COLOR_SIDE) == (3, 8)
    expected = np.asarray(encoder(images))
    serialized, about = build_encoder(encoder)
    assert about["arguments"] == [{"name": "images", "shape": ["batch", 3, 64, 64], "dtype": "float32"}]
    found = evaluate(serialized, images=np.asarray(images).transpose(0, 3, 1, 2))
    assert np.abs(expected[0] - expected[1]).max() > 0.01 * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    small = build_encoder(encoder, weights="int8")[0]
    assert len(small) < 0.3 * len(serialized)
    near = evaluate(small, images=np.asarray(images).transpose(0, 3, 1, 2))
    assert 0 < np.abs(near - expected).max() < 0.05 * np.abs(expected).max()


def test_an_export_with_an_encoder(encoder, tmp_path):
    models = export_onnx(stylegan2(), tmp_path / "models", encoder=encoder)["models"]
    assert models["encoder"]["result"] == {"name": "w_plus", "shape": ["batch", 4, W_DIM]}
    assert (tmp_path / "models" / "encoder.onnx").is_file()
    with pytest.raises(
        InputError, match=r"encoder: expected one of latents \[6, 8\], .* got one of \[4, 8\]"
    ):
        export_onnx(stylegan2(channels=(8, 8, 4)), tmp_path / "out", encoder=encoder)


def test_the_option_belongs_to_onnx(run, tmp_path):
    code, _, err = run("export", "mobile-stylegan-ffhq", "--encoder", "x", "--out", tmp_path / "out")
    assert (code, "--encoder: expected with --format onnx, got it with --format safetensors" in err) == (
        2,
        True,
    )
