# %% [markdown]
# # Edit a photograph
#
# Align a photograph, project it, edit the latent. The projection takes about three minutes on two CPU cores;
# `NUM_STEPS=50` in the environment gives a rougher likeness sooner.
# A likeness of a real person is theirs: ask before you edit it.

# %%
import os

import numpy as np

import jaxedit
from jaxedit.inversion.reconstruction_quality import compare

# %% [markdown]
# `PHOTO=portrait.jpg` in the environment names a photograph; without it, scikit-image's astronaut is taken.

# %%
if "PHOTO" in os.environ:
    photo = os.environ["PHOTO"]
else:
    from skimage import data

    photo = str(jaxedit.save_image(data.astronaut(), "astronaut.png"))

# %% [markdown]
# `align` cuts the faces out as the training images of the generator were cut, the largest first.

# %%
crop = jaxedit.align(photo, largest_only=True)[0].image
print(crop.shape, crop.dtype)

# %%
generator = jaxedit.load_generator("mobile-stylegan-ffhq")
num_steps = int(os.environ.get("NUM_STEPS", "200"))
config = jaxedit.ProjectionConfig.fast(num_steps=num_steps, num_w_steps=num_steps // 2)
result = jaxedit.project(generator, crop, config)
print(compare(crop, result.image[0]))

# %% [markdown]
# The layers of a projected latent differ because of the photograph. `pivot` tells this apart from earlier edits.

# %%
axes = jaxedit.load_axes("mobile-stylegan-ffhq")
edited = axes.edit(result.w_plus, {"smile": +1.0}, pivot=result.w_plus)
smiling = jaxedit.to_uint8(generator.synthesis(edited)[0])
jaxedit.save_image(np.concatenate([crop, jaxedit.to_uint8(result.image[0]), smiling], axis=1), "photo.png")
