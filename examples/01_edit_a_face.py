# %% [markdown]
# # Edit a face
#
# Load the default generator and its axes, draw faces, and move them along two axes.
# The default weights are for non-commercial research.

# %%
import jax
import numpy as np

import jaxedit

generator = jaxedit.load_generator("mobile-stylegan-ffhq")
axes = jaxedit.load_axes("mobile-stylegan-ffhq")
print(", ".join(axes.attribute_names))

# %% [markdown]
# A latent `w` describes a face. `truncation_psi` below 1 keeps to usual faces.

# %%
z = jax.random.normal(jax.random.key(7), (2, generator.z_dim))
w = generator.mapping(z, truncation_psi=0.7)

# %% [markdown]
# Amounts are standard deviations of the attribute over all faces: +1 is distinct, +3 strong.
# With `units="raw"` they are years, degrees and so on; `absolute=True` makes them targets instead of moves.

# %%
smiling = axes.edit(w, {"smile": +1.5})
sixty = axes.edit(w, {"age": 60}, absolute=True, units="raw")

# %% [markdown]
# `read` says where a latent lies on each axis, in the attribute's unit.

# %%
age = axes.attribute_names.index("age")
for name, latents in {"before": w, "smiling": smiling, "sixty": sixty}.items():
    print(f"{name}: {np.round(axes.read(latents)[:, age])} years")

# %% [markdown]
# One row per face: the original, the smile, sixty years.

# %%
columns = [jaxedit.to_uint8(generator.synthesis(latents)) for latents in (w, smiling, sixty)]
sheet = np.concatenate([np.concatenate(list(column), axis=0) for column in columns], axis=1)
jaxedit.save_image(sheet, "faces.png")
