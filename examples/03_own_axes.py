# %% [markdown]
# # Axes of your own
#
# Say in numbers what you want to control, label images of the generator, learn axes, edit.
# `GENERATOR` in the environment names another generator: a folder that `jaxedit convert` wrote.
# `NUM_SAMPLES` sets the number of labels: a few thousand make good axes, and take minutes on two CPU cores.

# %%
import os

import jax
import jax.numpy as jnp
import numpy as np

import jaxedit

name = os.environ.get("GENERATOR", "mobile-stylegan-ffhq")
num_samples = int(os.environ.get("NUM_SAMPLES", "2048"))

# %% [markdown]
# A classifier has names and turns images [batch, height, width, 3] in [-1, 1] into one column per name.


# %%
class Colors:
    names = ("brightness", "warmth")
    units = ("", "")

    def __call__(self, images):
        red, blue = images[..., 0].mean((1, 2)), images[..., 2].mean((1, 2))
        return jnp.stack([images.mean((1, 2, 3)), red - blue], axis=1)


# %% [markdown]
# Labels are written to a folder. An interrupted run resumes when it is started again.

# %%
generator = jaxedit.load_generator(name)
request = jaxedit.LabelingConfig(num_samples)
jaxedit.label(generator, Colors(), "labels", request, generator_name=name)
dataset = jaxedit.load_labelled_latents("labels", generator)

# %%
pca = jaxedit.fit_pca(dataset.w, num_components=20)
axes = jaxedit.learn_axes(dataset, pca, jaxedit.AxesConfig(batch_size=32, num_steps=300), progress=False)
print(axes.report.summary())

# %%
w = generator.mapping(jax.random.normal(jax.random.key(0), (1, generator.z_dim)), truncation_psi=0.7)
row = [generator.synthesis(axes.edit(w, {"warmth": amount}))[0] for amount in (-2.0, 0.0, 2.0)]
# Random weights overshoot the range of images by far; a trained generator hardly does.
jaxedit.save_image(np.clip(np.concatenate(row, axis=1), -1, 1), "warmth.png")
axes.save("axes")
