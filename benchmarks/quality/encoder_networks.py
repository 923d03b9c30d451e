"""Encoders compared: a head on frozen features, and networks that are trained whole.

    python -m benchmarks.quality.encoder_networks --out networks --json networks.json portrait.jpg ...

All see the same images of the generator, in versions that look like photographs, for the same processor time, and
learn their latents with the same loss: the squared error in W+, 1 for the mean of W. *Head* leaves the AlexNet of LPIPS
as it is, *whole* starts there and trains it too, *from nothing* trains the same network from random weights. Each is
measured on latents that none has learned from: the share of the variance of W+ that it explains, and LPIPS of the
images; and LPIPS of photographs. The images are kept in --out.
"""

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import typer
from flax import nnx
from jaxtyping import Array

from benchmarks.reporting import Rows, check_photographs, finish
from jaxedit.generators.protocol import Generator
from jaxedit.images import from_pixels, to_uint8
from jaxedit.inversion.align import align
from jaxedit.inversion.encoder import Encoder, initial_params
from jaxedit.inversion.encoder_augmentation import augment
from jaxedit.inversion.encoder_config import EncoderTrainingConfig
from jaxedit.inversion.encoder_pairs import Units, training_latents
from jaxedit.inversion.reconstruction_quality import compare
from jaxedit.latents.renders import Render, cheap_render
from jaxedit.latents.seed_stream import sample_w
from jaxedit.nn.lpips import LPIPS
from jaxedit.nn.resize import shrink
from jaxedit.pretrained.registry import load_generator
from jaxedit.storage.runs import RunFolder

_NAME = "mobile-stylegan-ffhq"
_SIDE = 160
_BATCH, _RATE, _TRUNK_SHARE = 32, 1e-3, 0.1
_UNIT = 128  # images of a unit of work
_HELD_OUT = 2**20  # number of the first unit that nothing learns from
_NUM_IMAGES = 64  # that the channels' components are measured with
WAYS = ("head", "whole", "from nothing")


class Images(NamedTuple):
    """Images [count, side, side, 3], uint8, and their latents [count, num_ws, w_dim]."""

    pixels: np.ndarray
    w_plus: np.ndarray


def images_of(generator: Generator, render: Render, encoder: Encoder, out: Path, count: int) -> Images:
    """Images that an earlier run has kept, or new ones."""
    run = RunFolder.open(out, kind="encoder images", request={"side": _SIDE, "unit": _UNIT})
    small = jax.jit(lambda render, w: to_uint8(shrink(jnp.clip(render(w), -1, 1), _SIDE)))

    def make(first: int, unit: int, rows: np.ndarray) -> dict[str, np.ndarray]:
        w_plus = training_latents(generator, encoder, _UNIT, seed=0, unit=first + unit)[: len(rows)]
        parts = [np.asarray(small(render, jnp.asarray(w)[None])) for w in w_plus]
        return {"pixels": np.concatenate(parts), "w_plus": w_plus}

    found = Units(run, "learned", count, _UNIT).gather(functools.partial(make, 0), progress="images")
    return Images(found["pixels"], found["w_plus"])


def untrained(generator: Generator, render: Render, way: str) -> Encoder:
    """An encoder that answers the mean of W."""
    trunk = LPIPS.from_pretrained("alex")
    if way == "from nothing":
        state = nnx.state(trunk)
        keys = iter(jax.random.split(jax.random.key(0), len(jax.tree.leaves(state))))

        def renewed(x: Array) -> Array:
            gain = (2 / max(1, x.size // x.shape[-1])) ** 0.5
            return gain * jax.random.normal(next(keys), x.shape) if x.ndim == 4 else jnp.zeros_like(x)

        nnx.update(trunk, jax.tree.map(renewed, state))
    w = sample_w(generator, 0, 10_000)
    rendered = jax.jit(lambda render, w: jnp.clip(render(w), -1, 1))
    images = jnp.concatenate([rendered(render, jnp.asarray(x)[None]) for x in (*w[:_NUM_IMAGES], w.mean(0))])
    shape = EncoderTrainingConfig(side=_SIDE).shape(generator.num_ws, generator.w_dim)
    return Encoder(shape, trunk, initial_params(shape, trunk, w, images, images[-1:]))


def _is_learned(way: str) -> Callable[[tuple[Any, ...], Any], bool]:
    """Filter of the weights that a way trains."""

    def learned(path: tuple[Any, ...], value: Any) -> bool:
        of_trunk = path[0] == "trunk" and "convs" in path
        return isinstance(value, nnx.Param) and (path[0] == "head" or (of_trunk and way != "head"))

    return learned


class Training:
    """A training, for a given processor time."""

    def __init__(self, encoder: Encoder, way: str, images: Images, num_steps: int) -> None:
        self.images, self.way = images, way
        self.graph, self.weights, self.rest = nnx.split(encoder, _is_learned(way), ...)
        schedule = optax.cosine_decay_schedule(_RATE, num_steps, 0.01)
        share = _TRUNK_SHARE if way == "whole" else 1.0
        self.optimizer = optax.multi_transform(
            {
                "head": optax.adamw(schedule, weight_decay=0.01),
                "trunk": optax.chain(optax.adamw(schedule, weight_decay=0.01), optax.scale(share)),
            },
            lambda weights: jax.tree_util.tree_map_with_path(
                lambda path, _: "head" if "head" in str(path[0]) else "trunk", weights
            ),
        )
        self.adam = self.optimizer.init(self.weights)
        mean = np.asarray(encoder.fixed["mean"][...])
        self.scale = float(np.square(images.w_plus - mean).mean())
        self.step_of = jax.jit(self._step)

    @property
    def encoder(self) -> Encoder:
        """The encoder as it is now."""
        return nnx.merge(self.graph, self.weights, self.rest)

    def run(self, num_steps: int) -> float:
        """Take steps; returns processor seconds a step, compilation apart."""
        random = np.random.RandomState(0)
        start, counted = time.process_time(), 0
        for step in range(num_steps):
            rows = random.randint(0, len(self.images.pixels), _BATCH)
            batch = jnp.asarray(self.images.pixels[rows]), jnp.asarray(self.images.w_plus[rows])
            self.weights, self.adam, loss = self.step_of(self.weights, self.adam, jax.random.key(step), batch)
            if step == 0:
                loss.block_until_ready()
                start = time.process_time()
            else:
                counted += 1
            if step % 100 == 0 or step == num_steps - 1:
                print(f"{self.way}: step {step} of {num_steps}, loss {float(loss):.3f}", flush=True)
        return (time.process_time() - start) / max(counted, 1)

    def _step(
        self, weights: Any, adam: Any, key: Array, batch: tuple[Array, Array]
    ) -> tuple[Any, Any, Array]:
        images, w_plus = augment(key, from_pixels(batch[0])), batch[1]

        def loss_of(weights: Any) -> Array:
            found = nnx.merge(self.graph, weights, self.rest)(images)
            return jnp.square(found - w_plus).mean() / self.scale

        loss, gradient = jax.value_and_grad(loss_of)(weights)
        update, adam = self.optimizer.update(gradient, adam, weights)
        return optax.apply_updates(weights, update), adam, loss


def measured(
    encoder: Encoder, generator: Generator, held_out: np.ndarray, crops: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Explained variance and LPIPS of generated faces, and LPIPS of photographs."""
    synthesis = jax.jit(lambda generator, w: jnp.clip(generator.synthesis(w), -1, 1))
    encode = jax.jit(lambda encoder, image: encoder(image))

    def distance(image: np.ndarray, w_plus: Array) -> float:
        return float(compare(image, np.asarray(synthesis(generator, w_plus))[0])["lpips"])

    errors, distances = [], []
    for w in held_out:
        image = synthesis(generator, jnp.asarray(w)[None])
        found = encode(encoder, image)
        errors.append(float(jnp.square(found[0] - w).mean()))
        distances.append(distance(np.asarray(image)[0], found))
    mean = np.asarray(encoder.fixed["mean"][...])
    row: dict[str, Any] = {
        "explained": 1 - float(np.mean(errors) / np.square(held_out - mean).mean()),
        "lpips, generated": float(np.mean(distances)),
    }
    for name, crop in crops.items():
        image = crop.astype(np.float32) / 127.5 - 1
        row[f"lpips, {name}"] = distance(image, encode(encoder, jnp.asarray(image)[None]))
    row["lpips, photographs"] = float(np.mean([row[f"lpips, {name}"] for name in crops]))
    return row


def main(
    photos: Annotated[list[Path], typer.Argument(help="photographs; the largest face of each is taken")],
    images: Annotated[int, typer.Option(help="number of images to learn from")] = 6144,
    minutes: Annotated[float, typer.Option(help="processor minutes of each training")] = 20.0,
    faces: Annotated[int, typer.Option(help="number of faces to measure with")] = 64,
    out: Annotated[Path, typer.Option(help="folder of the images")] = Path("networks"),
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
) -> None:
    """Train encoders and compare them."""
    check_photographs(photos)
    generator = load_generator(_NAME)
    render = cheap_render(generator)
    crops = {photo.stem: align(photo, largest_only=True)[0].image for photo in photos}
    rows: Rows = []
    for way in WAYS:
        encoder = untrained(generator, render, way)
        learned = images_of(generator, render, encoder, out, images)
        held_out = training_latents(generator, encoder, faces, seed=0, unit=_HELD_OUT)
        seconds = Training(encoder, way, learned, 12).run(12)  # tries how long a step takes
        num_steps = round(60 * minutes / seconds)
        training = Training(encoder, way, learned, num_steps)
        training.run(num_steps)
        row = {"way": way, "steps": num_steps, "processor seconds a step": seconds}
        rows.append(row | measured(training.encoder, generator, held_out, crops))
        finish("encoder networks", {"networks": rows}, json)


if __name__ == "__main__":
    typer.run(main)
