"""Measurement: renders edited latents and has all evaluators read each image, in one pass."""

import functools
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from tqdm import tqdm

from jaxedit.attributes.classifier import as_argument
from jaxedit.attributes.person.background import outside_persons
from jaxedit.errors import InputError
from jaxedit.evaluation.evaluators import Evaluators
from jaxedit.evaluation.readings import Readings, similarity_key
from jaxedit.evaluation.thumbnails import downscale, padded_batches, render_thumbnails
from jaxedit.generators.protocol import Generator
from jaxedit.latents.seed_stream import fingerprint

Edit = Callable[
    [Float[Array, "batch w_dim"], Float[Array, " batch"]],
    Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"],
]
"""(w, amount of each) to edited latents."""

PERCEPTUAL_SIZE = 256
"""Height and width of the images between which perceptual distances are taken."""


class Measurement:
    """Renders edited faces and has them read, batch after batch of one size: one compilation for W, one for W+.

    Attributes:
        generator: makes the images.
        evaluators: read them.
        w: latents of the unedited faces, [num_faces, w_dim].
        batch_size: images at once.
        bar: progress, in images.
    """

    def __init__(
        self,
        generator: Generator,
        evaluators: Evaluators,
        w: Float[Array | np.ndarray, "num_faces w_dim"],
        batch_size: int,
        bar: tqdm,
    ) -> None:
        self.generator = generator
        self.evaluators = evaluators
        self.w = np.asarray(w, np.float32)
        self.batch_size = min(batch_size, len(self.w))
        self.bar = bar
        distance = evaluators.perceptual
        self._person = None if evaluators.person is None else as_argument(evaluators.person)
        self._perceptual = None if distance is None else as_argument(distance)  # type: ignore[arg-type]

    def fingerprint(self, edit: Edit, faces: int = 4) -> Float[np.ndarray, " two_faces"]:
        """Numbers that differ between methods: how far ±1 moves the first faces along a fixed random direction.

        Raises:
            InputError: if the edited latents have another shape than they should.
        """
        some = jnp.asarray(np.resize(self.w, (faces, self.w.shape[1])))
        numbers = []
        for side in (-1.0, 1.0):
            moved = self._checked(edit(some, jnp.full(faces, side, jnp.float32)), faces)
            moves = np.asarray(moved - (some if moved.ndim == 2 else some[:, None]))
            # Latents that are not finite are refused when they are rendered.
            moves = np.where(np.isfinite(moves), moves, 0)
            numbers.append(fingerprint(moves.reshape(faces, -1)))
        return np.concatenate(numbers)

    def read_unedited(self) -> Readings:
        """Readings of the unedited faces, with their descriptors and without distances."""
        return self._read(self.w, np.zeros(len(self.w), np.float32), lambda w, _: w, None)

    def read_edited(
        self, edit: Edit, amounts: Float[np.ndarray, " num_steps"], faces: int, unedited: Readings
    ) -> Readings:
        """Readings of the first faces at each amount, as arrays [num_steps, faces, ...].

        Raises:
            InputError: if an edited latent or a reading is not finite or of another shape than it should be.
        """
        step, face = (index.ravel() for index in np.indices((len(amounts), faces)))
        readings = self._read(self.w[face], np.asarray(amounts, np.float32)[step], edit, face)
        result = {}
        for key, values in readings.items():
            kind, _, name = key.partition(".")
            if kind == "descriptor":
                key, before = f"identity.{name}", unedited[f"descriptor.{name}"][face]
                lengths = np.linalg.norm(values, axis=-1) * np.linalg.norm(before, axis=-1)
                cosines = (values * before).sum(-1) / np.maximum(lengths, np.finfo(np.float32).tiny)
                result[similarity_key(name)] = cosines.reshape(len(amounts), faces)
                values = np.linalg.norm(values - before, axis=-1)
            result[key] = values.reshape(len(amounts), faces, *values.shape[1:])
        return result

    def thumbnails(
        self, edit: Edit, amounts: Float[np.ndarray, " num_steps"], faces: int, size: int
    ) -> UInt8[np.ndarray, "num_steps faces size size 3"]:
        """Small images of the first faces at each amount."""
        step, face = (index.ravel() for index in np.indices((len(amounts), faces)))
        w, steps = jnp.asarray(self.w[face]), jnp.asarray(np.asarray(amounts, np.float32)[step])
        # Batches of one size here too: a method may compile a program for each size.
        parts = []
        for (_, some), (rows, amount) in zip(
            padded_batches(w, self.batch_size), padded_batches(steps, self.batch_size), strict=True
        ):
            parts.append(np.asarray(edit(some, amount))[: rows.stop - rows.start])
        images = render_thumbnails(self.generator, np.concatenate(parts), size, batch_size=self.batch_size)
        self.bar.update(len(images))
        return images.reshape(len(amounts), faces, size, size, 3)

    @functools.cached_property
    def _originals(self) -> UInt8[np.ndarray, "num_faces size size 3"]:
        size = min(PERCEPTUAL_SIZE, self.generator.resolution)
        return render_thumbnails(self.generator, self.w, size, batch_size=self.batch_size)

    def _read(
        self,
        w: Float[np.ndarray, "rows w_dim"],
        amounts: Float[np.ndarray, " rows"],
        edit: Edit,
        faces: np.ndarray | None,
    ) -> Readings:
        """Readings of a row of latents. `faces`: the face that each row is an edit of; None without edits."""
        parts: dict[str, list[np.ndarray]] = {}
        pending: tuple[int, Array, dict[str, Array]] | None = None
        perceptual = None if faces is None else self._perceptual
        person = None if faces is None else self._person
        batches = zip(
            padded_batches(w, self.batch_size), padded_batches(amounts, self.batch_size), strict=True
        )
        # The device works on the next batch while the last one's results are fetched.
        for item in itertools.chain(batches, [None]):
            running = None
            if item is not None:
                (rows, some), (_, steps) = item
                edited = self._checked(edit(some, steps), len(some))
                before = None
                if faces is not None and not (perceptual is None and person is None):
                    mine = faces[rows]
                    before = jnp.asarray(self._originals[np.resize(mine, len(some))])
                values = _read_images(
                    self.generator, self.evaluators.networks, (perceptual, person), edited, before
                )
                running = (rows.stop - rows.start, edited, values)
            if pending is not None:
                count, edited, values = pending
                if not np.isfinite(np.asarray(edited)).all():
                    raise InputError("expected finite latents, got NaN or infinity")
                for key, read in values.items():
                    parts.setdefault(key, []).append(np.asarray(read, np.float32)[:count])
                self.bar.update(count)
            pending = running
        readings = {key: np.concatenate(arrays) for key, arrays in parts.items()}
        for key, array in readings.items():
            if not np.isfinite(array).all():
                raise InputError(
                    f"{key}: expected finite readings, got NaN or infinity for {(~np.isfinite(array)).sum()}"
                )
        return readings

    def _checked(self, edited: Array, batch: int) -> Array:
        """The edited latents; raises unless they are of W or W+."""
        width, layers = self.generator.w_dim, self.generator.num_ws
        if edited.shape not in ((batch, width), (batch, layers, width)):
            raise InputError(
                f"expected latents [{batch}, {width}] or [{batch}, {layers}, {width}], "
                f"got {list(edited.shape)}"
            )
        return edited


@jax.jit
def _read_images(
    generator: Generator,
    networks: dict[str, Callable[[Array], Array]],
    compared: tuple[Callable[[Array, Array], Array] | None, Callable[[Array], Array] | None],
    w: Float[Array, "batch *style w_dim"],
    before: UInt8[Array, "batch size size 3"] | None,
) -> dict[str, Array]:
    """Renders latents and reads the images by each network.

    Args:
        generator: makes the images.
        networks: read single images.
        compared: a perceptual distance, and what finds the person, for comparisons with the unedited images.
        w: the latents.
        before: unedited images, as pixels 0…255.
    """
    images = jnp.clip(generator.synthesis(w), -1, 1)
    values = {key: network(images) for key, network in networks.items()}
    if before is None:
        return values
    perceptual, person = compared
    unedited, edited = before / 127.5 - 1, downscale(images, before.shape[1])
    if perceptual is not None:
        values["perceptual"] = perceptual(unedited, edited).reshape(-1)
    if person is not None:
        values |= _background_change(unedited, edited, person, perceptual)
    return values


def _background_change(
    unedited: Float[Array, "batch size size 3"],
    edited: Float[Array, "batch size size 3"],
    person: Callable[[Array], Array],
    perceptual: Callable[[Array, Array], Array] | None,
) -> dict[str, Array]:
    """Change outside the person in either image, as sums over the image: faces without background weigh nothing."""
    masks = jnp.split(person(jnp.concatenate([unedited, edited])), 2)
    outside = outside_persons(*masks)[..., None]
    behind = outside * (edited - unedited)
    values = {
        "background.share": outside.mean((1, 2, 3)),
        "background.squared": (behind**2).mean((1, 2, 3)) / 4,  # of colors in 0…1
    }
    if perceptual is not None:
        values["background.perceptual"] = perceptual(unedited, unedited + behind).reshape(-1)
    return values
