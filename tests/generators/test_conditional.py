import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.generators.protocol import Generator
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.pretrained.registry import load_generator, save_generator
from tests.generators.random_weights import normal, stylegan2_params

CONFIG = StyleGAN2Config.of_size(
    8, channel_base=64, channel_max=8, z_dim=6, c_dim=3, w_dim=8, mapping_layers=2
)


@pytest.fixture(scope="module")
def conditional() -> StyleGAN2:
    return StyleGAN2(CONFIG, stylegan2_params(CONFIG))


def test_it_is_a_generator_of_its_class(conditional, tmp_path):
    z = normal(4, 6, seed=1)
    second = ConditionedGenerator(conditional, 2)
    assert isinstance(second, Generator)
    assert (second.c_dim, second.resolution, second.num_ws) == (0, 8, 4)
    w = conditional.mapping(z, c=jnp.tile(jnp.eye(3)[2:], (4, 1)))
    np.testing.assert_allclose(jax.jit(lambda g, z: g.mapping(z))(second, z), w, atol=1e-6)
    np.testing.assert_allclose(second.synthesis(w), conditional.synthesis(w), atol=1e-6)
    folder = save_generator(conditional, tmp_path / "conditional")
    np.testing.assert_allclose(load_generator(f"{folder}#2").mapping(z), w, atol=1e-6)
    assert load_generator(folder).c_dim == 3


def test_bad_arguments(conditional, generator, tmp_path):
    with pytest.raises(InputError, match="class: expected 0…2, got 3"):
        ConditionedGenerator(conditional, 3)
    with pytest.raises(InputError, match="class: expected none, the generator has no classes, got 0"):
        ConditionedGenerator(generator, 0)
    with pytest.raises(InputError, match="c: expected none, the class of this generator is chosen"):
        ConditionedGenerator(conditional, 0).mapping(jnp.zeros((1, 6)), c=jnp.eye(3)[:1])
    with pytest.raises(InputError, match="generator: expected one with all its classes to save"):
        save_generator(ConditionedGenerator(conditional, 0), tmp_path / "one")
