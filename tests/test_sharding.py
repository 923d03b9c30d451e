"""A batch that lies on two devices gives what it gives on one."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

_CODE = """
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxedit.latents.seed_stream import sample_z
from jaxedit.axes import AxesConfig, fit_pca, learn_axes
from jaxedit.pretrained.registry import load_generator, load_labelled_latents

assert jax.device_count() == 2
generator = load_generator("mobile-stylegan-ffhq")
dataset = load_labelled_latents("mobile-stylegan-ffhq", generator)
pca = fit_pca(dataset.w, num_components=60)
axes = learn_axes(dataset, pca, AxesConfig(num_steps=20, steps_per_chunk=20), progress=False)

kind = getattr(AxisType, sys.argv[1])
batch = NamedSharding(jax.make_mesh((2,), ("batch",), axis_types=(kind,)), PartitionSpec("batch"))
z = jnp.asarray(sample_z(3, 2, 512))

def image(z):
    w = axes.edit(generator.mapping(z), {"age": 1.0})
    return w, generator.synthesis(w)

w, images = jax.jit(image)(z)
sharded_w, sharded_images = jax.jit(image)(jax.device_put(z, batch))
assert len(sharded_w.sharding.device_set) == 2
np.testing.assert_allclose(sharded_w, w, atol=1e-4)
np.testing.assert_allclose(sharded_images, images, atol=1e-3)

w = dataset.w[:8000]
sharded = fit_pca(jax.device_put(w, batch), num_components=60)
whole = fit_pca(w, num_components=60)
np.testing.assert_allclose(sharded.explained_variance, whole.explained_variance, rtol=1e-4)
print("same")
"""


@pytest.mark.parametrize("axis_type", ["Auto", "Explicit"])
def test_two_devices(axis_type):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run(
        [sys.executable, "-c", _CODE, axis_type], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "same"
