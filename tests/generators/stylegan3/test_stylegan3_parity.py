"""Agreement with outputs of the original implementation, computed by its plain path in float32 on a CPU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.generators.stylegan3 import StyleGAN3
from jaxedit.generators.stylegan3.initial import StyleGAN3Design
from tests.generators.stylegan3.references import NAMES, from_config, read_reference, relative
from weights_conversion.models.stylegan3.state_dict import convert_state_dict

TOLERANCE = 1e-5
"""Relative: ‖ours − reference‖ / ‖reference‖."""


@pytest.fixture(scope="module", params=NAMES)
def reference(request) -> tuple[dict, dict[str, np.ndarray], dict[str, np.ndarray], StyleGAN3]:
    options, arrays, out = read_reference(request.param)
    return options, arrays, out, from_config(*convert_state_dict(arrays, name=request.param))


def nhwc(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 2, 3, 1)


def test_latents(reference):
    _, _, out, generator = reference
    z, classes = jnp.asarray(out["z"]), out.get("c")
    w = generator.mapping(z, c=classes)
    assert generator.num_ws == out["w"].shape[1]
    assert relative(w, out["w"][:, 0]) < TOLERANCE
    truncated = generator.mapping(z, c=classes, truncation_psi=0.7)
    assert relative(truncated, out["w_psi07"][:, 0]) < TOLERANCE
    cut = generator.mapping(z, c=classes, truncation_psi=0.5, truncation_cutoff=4)
    assert relative(cut, out["w_psi05_cutoff4"]) < TOLERANCE


def test_images(reference):
    _, _, out, generator = reference
    # All at once, so that one program is compiled.
    latents = np.concatenate([out["w"], out["w_plus"], out["w_plus"]])
    transforms = np.stack([np.eye(3, dtype=np.float32)] * 3 + [out["transform"]])
    images = np.asarray(generator.synthesis(latents, transform=transforms))
    assert relative(images[:2], nhwc(out["img"])) < TOLERANCE
    assert relative(images[2:3], nhwc(out["img_wplus"])) < TOLERANCE
    assert relative(images[3:], nhwc(out["img_transform"])) < TOLERANCE
    assert relative(images[3], images[2]) > 0.1


@pytest.mark.parametrize(
    "reference", ["stylegan3_t_32", pytest.param("stylegan3_r_64", marks=pytest.mark.slow)], indirect=True
)
def test_gradients(reference):
    _, _, out, generator = reference
    cotangent = nhwc(out["cotangent"])
    gradient = jax.jit(jax.grad(lambda w: jnp.sum(generator.synthesis(w) * cotangent)))(out["w_plus"])
    assert relative(gradient, out["gradient"]) < TOLERANCE


def test_the_design(reference):
    options, arrays, _, generator = reference
    make = StyleGAN3Design.rotation if options["kind"] == "r" else StyleGAN3Design
    shape = {"channel_base": options["cbase"], "channel_max": options["cmax"]}
    design = make(options["res"], **shape, num_layers=options["num_layers"])
    sizes = {"z_dim": options["z"], "w_dim": options["w"], "c_dim": options.get("c", 0)}
    assert design.config(**sizes) == generator.config
    layers = sorted(key for key in arrays if key.endswith(".up_filter"))
    assert len(layers) == design.num_layers
    for i, key in enumerate(layers):
        up, down = design.filters(i)
        np.testing.assert_allclose(up, arrays[key], atol=1e-6)
        expected = arrays[key.replace("up_filter", "down_filter")]
        expected = np.outer(expected, expected) if expected.ndim == 1 else expected
        assert (len(down) > 1) == (options["kind"] == "r" and i < design.num_layers - design.num_critical)
        np.testing.assert_allclose(sum(np.outer(*term) for term in down), expected, atol=1e-6)
