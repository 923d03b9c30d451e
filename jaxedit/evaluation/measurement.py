"""Images of edited latents, looked at by several networks in one pass."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from tqdm import tqdm

from jaxedit.attributes.classifier import AttributeClassifier, as_argument
from jaxedit.errors import InputError
from jaxedit.evaluation.effects import Network
from jaxedit.evaluation.readings import Reading
from jaxedit.evaluation.thumbnails import downscale, padded_batches, render_thumbnails
from jaxedit.generators.protocol import Generator
from jaxedit.latents.seed_stream import fingerprint

PerceptualDistance = Callable[
    [Float[Array, "batch height width 3"], Float[Array, "batch height width 3"]], Float[Array, " batch"]
]
"""Two batches of images in [-1, 1] to the distance of each pair, such as LPIPS."""

Edit = Callable[
    [Float[Array, "batch w_dim"], Float[Array, " batch"]],
    Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"],
]
"""(w, amount of each) to edited latents."""

PERCEPTUAL_SIZE = 256
"""Height and width of the images between which perceptual distances are taken."""


@dataclasses.dataclass(frozen=True)
class Judge:
    """A further opinion: networks that the method under evaluation was not made with.

    Attributes:
        classifier: measures raw values.
        attributes: the attribute that each column stands for; several may stand for one, which is then the mean of
            their changes. By default a column's name up to an "@": "age@one" and "age@two" stand for age.
        reference: raw values of further unedited images, which help the evaluated ones to fix what one standard
            deviation is.
    """

    classifier: AttributeClassifier
    attributes: Mapping[str, str] | None = None
    reference: Float[Array | np.ndarray, "num_reference num_columns"] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the classifier."""
        return tuple(self.classifier.names)

    @property
    def attribute_of_column(self) -> tuple[str, ...]:
        """The attribute that each column stands for.

        Raises:
            InputError: if `attributes` lacks a column.
        """
        if self.attributes is None:
            return tuple(column.split("@")[0] for column in self.columns)
        missing = [column for column in self.columns if column not in self.attributes]
        if missing:
            raise InputError(f"judge: expected an attribute for each column, {', '.join(missing)} has none")
        return tuple(self.attributes[column] for column in self.columns)


@dataclasses.dataclass(frozen=True)
class Panel:
    """Everything that looks at an image.

    Attributes:
        classifier: measures the attributes by which methods are set to equal change.
        judges: further opinions.
        identities: networks of identity descriptors, which are compared by Euclidean distance: √(2 − 2 cos) for
            descriptors of length one.
        perceptual: a distance of two images, or None.
    """

    classifier: AttributeClassifier
    judges: Mapping[str, Judge]
    identities: Mapping[str, Network]
    perceptual: PerceptualDistance | None

    @functools.cached_property
    def networks(self) -> dict[str, Callable[[Array], Array]]:
        """All networks that look at single images, as arguments of compiled functions."""
        return (
            {"values": as_argument(self.classifier)}
            | {f"judge.{name}": as_argument(judge.classifier) for name, judge in self.judges.items()}
            | {f"descriptor.{name}": as_argument(network) for name, network in self.identities.items()}
        )

    def describe(self) -> dict[str, object]:
        """What a folder of readings must have been read by."""
        return {
            "classifier": list(self.classifier.names),
            "judges": {name: list(judge.columns) for name, judge in self.judges.items()},
            "identities": list(self.identities),
            "perceptual": self.perceptual is not None,
        }


class Camera:
    """Renders edited faces and has them read, batch after batch of one size: one compilation for W, one for W+."""

    def __init__(
        self,
        generator: Generator,
        panel: Panel,
        w: Float[Array | np.ndarray, "num_faces w_dim"],
        batch_size: int,
        bar: tqdm,
    ) -> None:
        self.generator = generator
        self.panel = panel
        self.w = np.asarray(w, np.float32)
        self.batch_size = min(batch_size, len(self.w))
        self.bar = bar
        self._perceptual = None if panel.perceptual is None else as_argument(panel.perceptual)  # type: ignore[arg-type]

    def fingerprint(self, edit: Edit, faces: int = 4) -> Float[np.ndarray, " two_faces"]:
        """Numbers by which what a method does is recognized: how far ±1 moves the first faces in a fixed direction.

        Raises:
            InputError: if the edited latents have another shape than they should.
        """
        some = jnp.asarray(np.resize(self.w, (faces, self.w.shape[1])))
        numbers = []
        for side in (-1.0, 1.0):
            moved = self._checked(edit(some, jnp.full(faces, side, jnp.float32)), faces)
            moves = np.asarray(moved - (some if moved.ndim == 2 else some[:, None]))
            moves = np.where(
                np.isfinite(moves), moves, 0
            )  # what is not finite is refused when it is rendered
            numbers.append(fingerprint(moves.reshape(faces, -1)))
        return np.concatenate(numbers)

    def read_unedited(self) -> Reading:
        """The unedited faces, with their descriptors and without distances."""
        return self._read(self.w, np.zeros(len(self.w), np.float32), lambda w, _: w, None)

    def read_edited(
        self, edit: Edit, amounts: Float[np.ndarray, " num_steps"], faces: int, unedited: Reading
    ) -> Reading:
        """The first faces at each amount, as arrays [num_steps, faces, ...].

        Raises:
            InputError: if an edited latent or a reading is not finite or of another shape than it should be.
        """
        step, face = (index.ravel() for index in np.indices((len(amounts), faces)))
        reading = self._read(self.w[face], np.asarray(amounts, np.float32)[step], edit, face)
        result = {}
        for key, values in reading.items():
            kind, _, name = key.partition(".")
            if kind == "descriptor":
                key = f"identity.{name}"
                values = np.linalg.norm(values - unedited[f"descriptor.{name}"][face], axis=-1)
            result[key] = values.reshape(len(amounts), faces, *values.shape[1:])
        return result

    def thumbnails(
        self, edit: Edit, amounts: Float[np.ndarray, " num_steps"], faces: int, size: int
    ) -> UInt8[np.ndarray, "num_steps faces size size 3"]:
        """Small images of the first faces at each amount."""
        step, face = (index.ravel() for index in np.indices((len(amounts), faces)))
        w, steps = jnp.asarray(self.w[face]), jnp.asarray(np.asarray(amounts, np.float32)[step])
        # In batches of one size here too: a method may hold a compiled program for each size that it has met.
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
    ) -> Reading:
        """Row by row. `faces` says of which face each row is an edit, None that there is no edit."""
        parts: dict[str, list[np.ndarray]] = {}
        pending: tuple[int, Array, dict[str, Array]] | None = None
        perceptual = None if faces is None else self._perceptual
        batches = zip(
            padded_batches(w, self.batch_size), padded_batches(amounts, self.batch_size), strict=True
        )
        # The next batch is under way on the device while the last one's results are fetched.
        for item in itertools.chain(batches, [None]):
            running = None
            if item is not None:
                (rows, some), (_, steps) = item
                edited = self._checked(edit(some, steps), len(some))
                before = None
                if perceptual is not None and faces is not None:
                    mine = faces[rows]
                    before = jnp.asarray(self._originals[np.resize(mine, len(some))])
                values = _look(self.generator, self.panel.networks, perceptual, edited, before)
                running = (rows.stop - rows.start, edited, values)
            if pending is not None:
                count, edited, values = pending
                if not np.isfinite(np.asarray(edited)).all():
                    raise InputError("expected finite latents, got NaN or infinity")
                for key, read in values.items():
                    parts.setdefault(key, []).append(np.asarray(read, np.float32)[:count])
                self.bar.update(count)
            pending = running
        reading = {key: np.concatenate(arrays) for key, arrays in parts.items()}
        for key, array in reading.items():
            if not np.isfinite(array).all():
                raise InputError(
                    f"{key}: expected finite readings, got NaN or infinity for {(~np.isfinite(array)).sum()}"
                )
        return reading

    def _checked(self, edited: Array, batch: int) -> Array:
        """Raise unless a method has given latents of W or W+."""
        width, layers = self.generator.w_dim, self.generator.num_ws
        if edited.shape not in ((batch, width), (batch, layers, width)):
            raise InputError(
                f"expected latents [{batch}, {width}] or [{batch}, {layers}, {width}], "
                f"got {list(edited.shape)}"
            )
        return edited


@jax.jit
def _look(
    generator: Generator,
    networks: dict[str, Callable[[Array], Array]],
    perceptual: Callable[[Array, Array], Array] | None,
    w: Float[Array, "batch *style w_dim"],
    before: UInt8[Array, "batch size size 3"] | None,
) -> dict[str, Array]:
    """What each network says of the images of latents."""
    images = jnp.clip(generator.synthesis(w), -1, 1)
    values = {key: network(images) for key, network in networks.items()}
    if perceptual is not None and before is not None:
        values["perceptual"] = perceptual(before / 127.5 - 1, downscale(images, before.shape[1])).reshape(-1)
    return values
