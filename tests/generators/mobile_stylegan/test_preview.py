import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.generators.mobile_stylegan import generator as mobile_stylegan
from jaxedit.generators.mobile_stylegan import preview as mobile_preview
from jaxedit.generators.mobile_stylegan.blocks import run_block
from jaxedit.generators.mobile_stylegan.haar import inverse_haar
from jaxedit.generators.mobile_stylegan.preview import fit_preview, half_size
from jaxedit.generators.protocol import broadcast_w
from jaxedit.nn.convolution import depthwise_conv


@pytest.fixture(scope="module")
def preview(generator, reference):
    return fit_preview(generator, reference["w"][2:])


def test_images_are_small_ones_of_the_generator(preview, images, reference):
    seen = np.clip(jax.jit(lambda p, w: p(w))(preview, jnp.asarray(reference["w"][:2])), -1, 1)
    wanted = np.clip(images[:2], -1, 1).reshape(2, 256, 4, 256, 4, 3).mean((2, 4))
    assert seen.shape == wanted.shape
    # Of faces that the map was not fitted to; a constant image has 0.
    assert 1 - ((seen - wanted) ** 2).mean() / wanted.var() > 0.9


@pytest.mark.slow
def test_features_are_those_before_the_last_block(generator, reference):
    w_plus = broadcast_w(jnp.asarray(reference["w"][:1]), generator.num_ws)

    @jax.jit
    def original(generator, w_plus):
        x, styles = mobile_stylegan._features(generator, w_plus)
        x = x[0]
        for block, own in list(zip(generator.blocks, styles, strict=True))[:-1]:
            x = run_block(block, x, jax.tree.map(lambda a: a[0], own))
        return x[None]

    np.testing.assert_allclose(
        jax.jit(lambda generator, w: mobile_preview.features_before(generator, w, len(generator.blocks) - 1))(
            generator, w_plus
        ),
        original(generator, w_plus),
        atol=2e-4,
    )


@pytest.mark.slow
def test_half_size_images_are_means_of_four_pixels_with_the_gradient_of_these(generator, images, reference):
    w_plus = broadcast_w(jnp.asarray(reference["w"][:1]), generator.num_ws)
    wanted = images[:1].reshape(1, 512, 2, 512, 2, 3).mean((2, 4))
    np.testing.assert_allclose(jax.jit(half_size)(generator, w_plus), wanted, atol=2e-4)
    weight = jnp.asarray(np.random.RandomState(0).randn(1, 512, 512, 3), jnp.float32)

    def by_definition(w):
        means = generator.synthesis(w).reshape(1, 512, 2, 512, 2, 3).mean((2, 4))
        return (weight * means).mean()

    ours = jax.jit(jax.grad(lambda w: (weight * half_size(generator, w)).mean()))(w_plus)
    automatic = jax.jit(jax.grad(by_definition))(w_plus)
    np.testing.assert_allclose(ours, automatic, atol=1e-4 * np.abs(automatic).max())


def test_derivatives_written_by_hand_agree_with_automatic_ones():
    random = np.random.RandomState(0)
    x, style = random.randn(6, 8, 8), random.randn(8)
    depthwise, pointwise = random.randn(3, 3, 8), random.randn(8, 4)
    noise, bias = random.randn(6, 8), random.randn(4)
    arrays = [jnp.asarray(a, jnp.float32) for a in (x, style, depthwise, pointwise, noise, bias)]

    def plain(x, style, depthwise, pointwise, noise, bias):
        convolved = depthwise_conv(jnp.pad(x, ((1, 1), (1, 1), (0, 0))), depthwise * style)
        mixed = (convolved.reshape(-1, 8) @ pointwise).reshape(6, 8, 4) + noise[..., None] + bias
        return jnp.maximum(mixed, 0.2 * mixed)

    cases = (
        (mobile_preview._convolve, plain, arrays),
        (mobile_preview._upsample, lambda x, s: inverse_haar(x * s), arrays[:2]),
    )
    for ours, automatic, given in cases:
        which = tuple(range(len(given)))
        values = [
            jax.jit(jax.value_and_grad(lambda *a, f=f: (f(*a) ** 3).sum(), which))(*given)
            for f in (ours, automatic)
        ]
        np.testing.assert_allclose(values[0][0], values[1][0], rtol=1e-5)
        for mine, theirs in zip(values[0][1], values[1][1], strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-3 * np.abs(theirs).max())


@pytest.mark.slow
def test_gradients_reach_every_style_input_before_the_last_block(preview, reference):
    w_plus = broadcast_w(jnp.asarray(reference["w"][:1]), 16)
    gradient = jax.jit(jax.grad(lambda w: (preview(w) ** 2).mean()))(w_plus)
    assert np.isfinite(gradient).all()
    size = np.abs(np.asarray(gradient[0])).max(1)
    assert (size[:13] > 0).all()
    assert (size[13:] == 0).all()


def test_wrong_latents_are_refused(preview, generator):
    with pytest.raises(InputError, match="w: expected"):
        preview(jnp.zeros((1, 5)))
    with pytest.raises(InputError, match="one latent or more"):
        fit_preview(generator, np.zeros((0, 512), np.float32))
