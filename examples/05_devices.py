# %% [markdown]
# # Several devices
#
# Render and edit on all devices at once. The same code runs on one CPU, on several GPUs, and on a TPU slice.
# To try it out on a CPU: `XLA_FLAGS=--xla_force_host_platform_device_count=2 python 05_devices.py`.

# %%
import jax

import jaxedit

jaxedit.parallel.initialize()  # joins the processes of several hosts; does nothing for a single process
mesh = jaxedit.data_mesh()
print(f"{mesh.size} devices of {jax.process_count()} processes")

# %% [markdown]
# Every device gets the weights, and an equal part of the latents.

# %%
generator = jaxedit.load_generator("mobile-stylegan-ffhq")
axes = jaxedit.load_axes("mobile-stylegan-ffhq")
model = jaxedit.replicate(generator, mesh)
z = jax.random.normal(jax.random.key(0), (2 * mesh.size, generator.z_dim))
w = model.mapping(jaxedit.shard_batch(z, mesh), truncation_psi=0.7)

# %% [markdown]
# `over_batch` runs a function of a batch on each device's part.

# %%
render = jax.jit(jaxedit.over_batch(lambda generator, w: generator.synthesis(w), mesh))
before = jaxedit.gather(render(model, w))  # NumPy, the whole batch on every process
older = jaxedit.gather(render(model, axes.edit(w, {"age": +1.5})))
print(before.shape, abs(older - before).mean())

# %%
if jax.process_index() == 0:
    for i, image in enumerate(older):
        jaxedit.save_image(image, f"older_{i}.png")
