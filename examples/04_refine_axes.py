# %% [markdown]
# # Refine axes through images
#
# Axes in W move all layers alike. Refining gives each group of layers a curve of its own, learned through rendered
# images, so that an edit changes less of the other attributes. `GENERATOR` in the environment names a folder that
# `jaxedit convert` wrote; without it, a small random StyleGAN2 of eight layers is used.

# %%
import os

import jax
import jax.numpy as jnp

import jaxedit
from jaxedit.evaluation import effect_matrix
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params

if "GENERATOR" in os.environ:
    generator = jaxedit.load_generator(os.environ["GENERATOR"])
else:
    small = {"channel_base": 512, "channel_max": 16, "z_dim": 16, "w_dim": 16, "mapping_layers": 2}
    shape = StyleGAN2Config.of_size(32, **small)
    params = initial_params(shape, jax.random.key(3))
    for block in params["blocks"].values():
        block["to_rgb"]["weight"] *= 0.3  # so that few pixels leave [-1, 1]
    generator = StyleGAN2(shape, params)


# %%
class Looks:
    names = ("warmth", "brightness", "left", "contrast")

    def __call__(self, images):
        gray, half = images.mean(3), images.shape[2] // 2
        warmth = (images[..., 0] - images[..., 2]).mean((1, 2))
        left = gray[:, :, :half].mean((1, 2)) - gray[:, :, half:].mean((1, 2))
        return jnp.stack([warmth, gray.mean((1, 2)), left, jnp.log(gray.std((1, 2)) + 1e-3)], axis=1)


# %% [markdown]
# Plain axes first, as in `03_own_axes.py`; then the curves. The classifier must be differentiable.

# %%
jaxedit.label(generator, Looks(), "labels", jaxedit.LabelingConfig(1024), generator_name="mine")
dataset = jaxedit.load_labelled_latents("labels", generator)
axes = jaxedit.learn_axes(dataset, jaxedit.fit_pca(dataset.w, 16), jaxedit.AxesConfig(num_steps=300))
sizes = {"num_latents": 256, "num_derivatives": 32, "num_images": 320, "num_calibration_latents": 64}
config = jaxedit.RefinementConfig(**sizes)
refined = jaxedit.refine_axes(generator, axes, Looks(), config, out="refinement")
refined.save("refined-axes")

# %% [markdown]
# Leakage in the image: change of the other attributes, relative to the target's, on latents that neither has seen.

# %%
w = generator.mapping(jax.random.normal(jax.random.key(1), (96, generator.z_dim)))
for name, method in {"plain": axes, "refined": refined}.items():
    print(name, effect_matrix(generator, method, Looks(), w, progress=False).leakage.mean())
