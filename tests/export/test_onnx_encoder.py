import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.export.onnx_models import build_encoder, export_onnx
from jaxedit.inversion.encoder import COLOR_SIDE
from tests.export.small_models import ENCODER_CONFIG, W_DIM, normal, stylegan2, tiny_encoder
from tests.export.test_onnx import evaluate


@pytest.fixture(scope="module")
def encoder():
    return tiny_encoder()


@pytest.fixture(scope="module")
def images():
    return jnp.clip(jax.image.resize(normal(2, 9, 9, 3), (2, 64, 64, 3), "cubic"), -1, 1)


def test_latents_are_those_of_the_library(encoder, images):
    assert (ENCODER_CONFIG.grid, COLOR_SIDE) == (3, 8)
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
    assert (
        code,
        "--encoder: expected with --format onnx or web, got it with --format safetensors" in err,
    ) == (
        2,
        True,
    )
