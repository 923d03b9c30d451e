"""What an encoder learns from: latents, and what it sees of their images.

Pairs cost nothing but rendering: latents of W, and latents whose layers come from several latents of W or differ by
themselves, as those of photographs do.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm.auto import tqdm

from jaxedit.generators.protocol import Generator
from jaxedit.inversion.encoder import Encoder
from jaxedit.inversion.encoder_augmentation import augment
from jaxedit.inversion.encoder_config import EncoderTrainingConfig
from jaxedit.latents.renders import Render
from jaxedit.nn.resize import shrink
from jaxedit.storage.arrays import ArrayOf
from jaxedit.storage.runs import RunFolder

_MIXED = 0.5  # share of latents whose layers come from two or three latents of W
_MOST_OWN = 0.5  # by how many standard deviations of W a layer differs by itself, at most
_LEAST_PSI = 0.6

Pairs = dict[str, np.ndarray]
""""features" [latents, versions, grid, grid, features] and "colors" [latents, versions, colors] of the image of each
latent and its augmented versions, in half precision, and "w_plus" [latents, num_ws, w_dim]."""

PAIR_ARRAYS = {
    "features": ArrayOf("f", ("latents", "versions", "rows", "columns", "features")),
    "colors": ArrayOf("f", ("latents", "versions", "colors")),
    "w_plus": ArrayOf("f", ("latents", "num_ws", "w_dim")),
}


class Units(NamedTuple):
    """Work on many rows that is kept in a run unit by unit."""

    run: RunFolder
    folder: str
    """Of the units in the run."""
    total: int
    """Number of rows."""
    size: int
    """Rows of a unit."""

    def gather(
        self,
        make: Callable[[int, np.ndarray], dict[str, np.ndarray]],
        *,
        arrays: Mapping[str, ArrayOf] | None = None,
        progress: str | None = None,
    ) -> dict[str, np.ndarray]:
        """The arrays of all rows, read from the run or made now.

        Args:
            make: number of a unit and its rows → arrays of these rows.
            arrays: what they are, for the check of what an earlier run has written.
            progress: text of the bar; None for none.
        """
        parts = []
        with tqdm(total=self.total, desc=progress, disable=progress is None) as bar:
            for unit, start in enumerate(range(0, self.total, self.size)):
                rows = np.arange(start, min(start + self.size, self.total))
                name = f"{self.folder}/{unit:06d}"
                parts.append(self.run.get_or_make(name, functools.partial(make, unit, rows), arrays=arrays))
                bar.update(len(rows))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def training_latents(
    generator: Generator, encoder: Encoder, count: int, *, seed: int, unit: int
) -> Float[np.ndarray, "count num_ws w_dim"]:
    """Latents of W+ to learn from, float32: the same for the same seed and unit.

    Half of them are latents of W. Of the others each layer comes from one of up to three latents of W, in runs of
    layers. In two of three of all, each layer differs by a random amount of its own.

    Args:
        generator: of the latents.
        encoder: holds mean and PCA of W.
        count: how many.
        seed: of the training.
        unit: number of the unit of work.
    """
    random = np.random.RandomState([seed, unit])
    num_ws, width = generator.num_ws, generator.w_dim
    z = random.standard_normal((3 * count, generator.z_dim)).astype(np.float32)
    mean = np.asarray(encoder.fixed["mean"][...])
    w = np.asarray(generator.mapping(jnp.asarray(z))).reshape(3, count, width)
    w = mean + (w - mean) * random.uniform(_LEAST_PSI, 1, (3, count, 1))
    cuts = np.sort(random.randint(0, num_ws + 1, (count, 2)), axis=1)
    layers = np.arange(num_ws)
    source = (layers >= cuts[:, :1]).astype(int) + (layers >= cuts[:, 1:])
    source[random.uniform(size=count) > _MIXED] = 0
    w_plus = w[source, np.arange(count)[:, None]]
    amount = random.uniform(0, _MOST_OWN, (count, 1, 1)) * (random.uniform(size=(count, 1, 1)) < 2 / 3)
    scales, components = (np.asarray(encoder.fixed[name][...]) for name in ("scales", "components"))
    own = (random.standard_normal((count, num_ws, width)) * scales) @ components
    return (w_plus + amount * own).astype(np.float32)


def training_pairs(
    generator: Generator,
    encoder: Encoder,
    render: Render,
    config: EncoderTrainingConfig,
    run: RunFolder,
    *,
    progress: bool,
) -> Pairs:
    """The pairs of a run, read from its folder or made now.

    Args:
        generator: of the latents.
        encoder: sees the images; its head does not matter.
        render: makes the images, as a pytree.
        config: of the training.
        run: keeps each unit.
        progress: whether to show a bar.
    """

    def make(unit: int, rows: np.ndarray) -> Pairs:
        w_plus = training_latents(generator, encoder, len(rows), seed=config.seed, unit=unit)
        key = jax.random.fold_in(jax.random.key(config.seed), unit)
        features, colors = seen_versions(encoder, render, w_plus, key, config)
        return {"features": features, "colors": colors, "w_plus": w_plus}

    units = Units(run, "images", config.num_latents, config.unit_size)
    return units.gather(make, arrays=PAIR_ARRAYS, progress="images" if progress else None)


def seen_versions(
    encoder: Encoder,
    render: Render,
    w_plus: Float[np.ndarray, "count num_ws w_dim"],
    key: Array,
    config: EncoderTrainingConfig,
) -> tuple[np.ndarray, np.ndarray]:
    """Features [count, versions, …] and colors [count, versions, …] of the images of latents, in half precision."""
    found, batch_size = [], config.render_batch_size
    for start in range(0, len(w_plus), batch_size):
        rows = np.minimum(
            np.arange(start, start + batch_size), len(w_plus) - 1
        )  # the last batch is filled up
        versions = _versions(
            encoder, render, jnp.asarray(w_plus[rows]), jax.random.fold_in(key, start), config.num_versions
        )
        count = min(batch_size, len(w_plus) - start)
        found.append([np.asarray(x[:, :count], np.float16).swapaxes(0, 1) for x in versions])
    features, colors = zip(*found, strict=True)
    return np.concatenate(features), np.concatenate(colors)


def _see_versions(
    encoder: Encoder, render: Render, w_plus: Array, key: Array, num_versions: int
) -> tuple[Array, Array]:
    images = shrink(jnp.clip(render(w_plus), -1, 1), encoder.config.side)
    keys = jax.random.split(key, max(num_versions - 1, 1))
    versions = [images, *[augment(keys[i], images) for i in range(num_versions - 1)]]
    seen = [encoder.see(version) for version in versions]
    return jnp.stack([features for features, _ in seen]), jnp.stack([colors for _, colors in seen])


_versions = jax.jit(_see_versions, static_argnames=("num_versions",))
