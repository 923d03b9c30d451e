"""Images of edits: small ones while a slider moves, whole ones at rest, and what else an edit changed.

One program maps amounts to the pixels of a small image: other amounts, other attributes and other faces run it again
without compiling.
"""

import dataclasses
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxedit.attributes.classifier import LOGIT_UNITS
from jaxedit.attributes.person.places import ATTRIBUTE_PLACES, FacePlaces
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.editing import Edit, apply_edit
from jaxedit.axes.in_places import draw_in_places, stages_of
from jaxedit.axes.paths import EditPath, PivotPath
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.mobile_stylegan.preview import Preview
from jaxedit.generators.protocol import weights_fingerprint
from jaxedit.images import from_pixels, to_uint8
from jaxedit.labels.quantile_transform import QuantileTransform
from jaxedit.latents.renders import cheap_render, full_render
from jaxedit.nn.resize import resample
from jaxedit.storage.arrays import ArrayOf, read_arrays_or_none, write_arrays
from jaxedit.storage.download import cache_dir
from jaxedit.studio.faces import StudioFace

SMALL_SIDE = 256
"""Pixels a side of the image that follows a slider."""

NOTED = 0.15
"""Changes of other attributes below this part of the edit's own change are not named."""

_MOST_NOTES = 5
_QUIET = 1.0
_MOST_KEPT = 16
"""Whole images of all visitors that are kept: 3 MB each."""
_HARDLY = 0.2
"""Standard deviations below which an edited attribute counts as not changed."""


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn:
    """An edit at rest.

    Attributes:
        original: the image of the unedited face, 0…255.
        edited: the image of the edited face.
        axes: along which it was edited.
    """

    original: UInt8[np.ndarray, "side side channels"]
    edited: UInt8[np.ndarray, "side side channels"]
    axes: AttributeAxes


class FairLock:
    """A lock that threads get in the order in which they asked."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._asked = self._served = 0

    def __enter__(self) -> None:
        with self._changed:
            turn, self._asked = self._asked, self._asked + 1
            self._changed.wait_for(lambda: self._served == turn)

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._served += 1
            self._changed.notify_all()


class Drawer:
    """Draws faces of one generator; for several threads, one image at a time.

    Args:
        generator: makes the images.
        classifier: reads attributes off images; None for no notes.
        places: finds the places of attributes, so that a whole image changes there alone; None for edits of all of it.
    """

    def __init__(
        self, generator: Any, classifier: Any | None = None, places: FacePlaces | None = None
    ) -> None:
        self.generator, self.classifier, self.places = generator, classifier, places
        self.small = small_render(generator)
        self._lock = FairLock()
        self._drawn: OrderedDict[Any, Drawn] = OrderedDict()
        self._originals: OrderedDict[StudioFace, np.ndarray] = OrderedDict()
        self._readings: weakref.WeakKeyDictionary[StudioFace, np.ndarray] = weakref.WeakKeyDictionary()
        self.last_used = 0.0
        """When a visitor's image was last asked for, of `time.monotonic`."""

    def preview(
        self,
        face: StudioFace,
        axes: AttributeAxes,
        amounts: Mapping[str, float | int],
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> UInt8[np.ndarray, "side side 3"] | None:
        """A small image of an edit.

        Args:
            face: the face.
            axes: of this generator.
            amounts: in standard deviations.
            is_wanted: asked when it is this image's turn.

        Returns:
            None if it was not wanted any more.

        Raises:
            InputError: if an attribute is unknown or an amount is beyond all sense.
        """
        edit = _edit(face, axes, amounts)
        self.last_used = time.monotonic()
        with self._lock:
            if not is_wanted():
                return None
            pixels = _small_pixels(self.small, _path(axes, face), axes.quantile_transform, edit, face.w)
            self.last_used = time.monotonic()
            return np.asarray(pixels)[0]

    def small_images(self, w: Float[np.ndarray, "batch w_dim"]) -> UInt8[np.ndarray, "batch side side 3"]:
        """Small images of latents of W, one after the other."""
        with self._lock:
            return np.concatenate([np.asarray(_small_of(self.small, row[None])) for row in w])

    def draw(self, face: StudioFace, axes: AttributeAxes, amounts: Mapping[str, float | int]) -> Drawn:
        """The whole images before and after an edit.

        Args:
            face: the face.
            axes: of this generator.
            amounts: in standard deviations.

        Raises:
            InputError: as `preview`.
        """
        edit = _edit(face, axes, amounts)
        self.last_used = time.monotonic()
        with self._lock:
            path, transform = _path(axes, face), axes.quantile_transform

            def image(chosen: Edit) -> np.ndarray:
                pixels = _full_pixels(self.generator, path, transform, chosen, face.w, face.noise)
                return np.asarray(pixels)[0]

            key = (face, id(axes), tuple(sorted(amounts.items())))
            if key in self._drawn:
                return self._drawn[key]
            if face not in self._originals:
                self._originals[face] = image(_edit(face, axes, {}))
            original = self._originals[face]
            if not amounts:
                edited = original
            elif self.places is None:
                edited = image(edit)
            else:
                edited = self._in_places(face, axes, amounts)
            self._drawn[key] = drawn = Drawn(original, edited, axes)
            _limit(self._drawn)
            _limit(self._originals)
            self.last_used = time.monotonic()
            return drawn

    def forget(self, face: StudioFace) -> None:
        """Drop the images of a face that is no longer edited."""
        with self._lock:
            self._originals.pop(face, None)
            for key in [key for key in self._drawn if key[0] is face]:
                del self._drawn[key]

    def notes(
        self, face: StudioFace, axes: AttributeAxes, amounts: Mapping[str, float | int], drawn: Drawn
    ) -> tuple[str, ...]:
        """What an edit did that was not asked, and what could not be read (`change_notes`); none without a classifier.

        Args:
            face: the face.
            axes: of this generator.
            amounts: in standard deviations.
            drawn: its images.
        """
        if self.classifier is None or not amounts:
            return ()
        with self._lock:
            if face not in self._readings:
                self._readings[face] = self._values(drawn.original)
            before, after = self._readings[face], self._values(drawn.edited)
            self.last_used = time.monotonic()
        names = tuple(self.classifier.names)
        shared = [name for name in axes.attribute_names if name in names]
        columns = [names.index(name) for name in shared]
        rows = [axes.attribute_names.index(name) for name in shared]
        before, after = before[columns], after[columns]
        units = [axes.attribute_units[row] for row in rows]
        seen = [is_seen(*values) for values in zip(units, before, after, strict=True)]
        return change_notes(
            shared, _positions(axes, rows, before), _positions(axes, rows, after), amounts, seen
        )

    def _values(self, pixels: UInt8[np.ndarray, "side side 3"]) -> Float[np.ndarray, " num_read"]:
        return np.asarray(_read(self.classifier, from_pixels(jnp.asarray(pixels[None]))))[0]

    def _in_places(
        self, face: StudioFace, axes: AttributeAxes, amounts: Mapping[str, float | int]
    ) -> UInt8[np.ndarray, "side side 3"]:
        assert self.places is not None
        stages, where = stages_of(axes, face.w, amounts, pivot=face.pivot)
        drawn = draw_in_places(self.generator, stages, where, self.places, noise=face.noise)
        return np.asarray(to_uint8(drawn.edited))[0]

    def warm_up(self, face: StudioFace, axes: AttributeAxes) -> None:
        """Compile what a visitor waits for: first what everybody does, then each place, while it is quiet."""
        amounts = {axes.attribute_names[0]: 1.0}
        self.preview(face, axes, amounts)
        self.notes(face, axes, amounts, self.draw(face, axes, amounts))
        if self.places is None:
            return
        one_of_each = {ATTRIBUTE_PLACES.get(name): name for name in reversed(axes.attribute_names)}
        for name in one_of_each.values():
            self.wait_for_quiet()
            self._in_places(face, axes, {name: 1.0})  # without the lock: compiling holds nobody up

    def wait_for_quiet(self, stop: threading.Event | None = None) -> None:
        """Until no visitor has asked for an image for a second: sliders come first."""
        while time.monotonic() - self.last_used < _QUIET and not (stop is not None and stop.is_set()):
            time.sleep(0.05)


def _limit(kept: OrderedDict[Any, Any]) -> None:
    if len(kept) > _MOST_KEPT:
        kept.popitem(last=False)


def is_seen(unit: str, before: Any, after: Any) -> bool:
    """Whether a change can be seen, of what is there or not: far from even its log-odds change without anything to see.

    Args:
        unit: of the attribute.
        before: value of the unedited image.
        after: value of the edited one.

    Examples:
        >>> is_seen("log-odds", -7.0, -6.0), is_seen("log-odds", -1.0, 0.0)
        (False, True)
    """
    if unit in LOGIT_UNITS:
        before, after = (1 / (1 + np.exp(-np.clip(value, -30, 30))) for value in (before, after))
    elif unit != "level":  # of marks: 0 for no, 1, 2, 3
        return True
    return not abs(after - before) <= NOTED


def change_notes(
    names: Sequence[str],
    before: Float[np.ndarray, " num_read"],
    after: Float[np.ndarray, " num_read"],
    amounts: Mapping[str, float | int],
    seen: Sequence[bool] | np.ndarray | None = None,
) -> tuple[str, ...]:
    """What an edit did, read off the images, where it is not what was asked.

    Args:
        names: of the attributes that were read.
        before: of the unedited image, in standard deviations; NaN where it could not be read.
        after: of the edited image.
        amounts: of the edit, in standard deviations.
        seen: whether a change of each attribute can be seen; None for all.

    Examples:
        >>> import numpy as np
        >>> change_notes(["age", "smile"], np.zeros(2), np.array([1.0, 0.5]), {"age": 1.0})
        ('Also changes on this face: smile (50 %).',)
    """
    change = np.asarray(after, float) - np.asarray(before, float)
    moves = dict(zip(names, change, strict=True))
    unread = [name for name, move in moves.items() if not np.isfinite(move)]
    notes = []
    if unread:
        notes.append(f"Could not be read off this face: {_listed(unread)}.")
    own = [abs(moves[name]) for name in amounts if name in moves and np.isfinite(moves[name])]
    still = [
        name for name in amounts if name in moves and abs(moves[name]) < _HARDLY <= abs(amounts[name]) / 2
    ]
    if still:
        notes.append(f"Hardly changes on this face: {_listed(still)}. It may be at the end of this slider.")
    if own and max(own) >= _HARDLY:
        is_seen = dict(zip(names, np.ones(len(names), bool) if seen is None else seen, strict=True))
        others = {
            n: abs(m) / max(own)
            for n, m in moves.items()
            if n not in amounts and np.isfinite(m) and is_seen[n]
        }
        noted = sorted((n for n, part in others.items() if part > NOTED), key=lambda n: -others[n])
        if noted:
            text = ", ".join(f"{n.replace('_', ' ')} ({100 * others[n]:.0f} %)" for n in noted[:_MOST_NOTES])
            more = f" and {len(noted) - _MOST_NOTES} more" if len(noted) > _MOST_NOTES else ""
            notes.append(f"Also changes on this face: {text}{more}.")
    return tuple(notes)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def _positions(axes: AttributeAxes, rows: Sequence[int], values: np.ndarray) -> np.ndarray:
    """Values of some attributes as positions on their axes."""
    whole = np.zeros((1, len(axes.attribute_names)), np.float32)
    whole[0, rows] = values
    return np.asarray(axes.quantile_transform.transform(whole))[0, rows]


def small_render(generator: Any) -> Any:
    """What draws small images. The fit of a MobileStyleGAN's previews is kept in the cache.

    Raises:
        OutputError: if the cache cannot be written.
    """
    if not isinstance(generator, MobileStyleGAN):
        return full_render(generator)
    path = cache_dir() / "studio" / f"preview-{weights_fingerprint(generator)[:16]}.npz"
    expected = {"weight": ArrayOf("f", ("channels", 3), is_finite=True), "bias": ArrayOf("f", (3,))}
    found = read_arrays_or_none(path, arrays=expected)
    if found is None:
        preview = cheap_render(generator)
        write_arrays(
            path, {name: np.asarray(getattr(preview, name)) for name in expected}, kind="studio preview"
        )
        return preview
    return Preview(generator, *(jnp.asarray(found.arrays[name]) for name in expected))


def _edit(face: StudioFace, axes: AttributeAxes, amounts: Mapping[str, float | int]) -> Edit:
    num_ws = face.w.shape[1] if face.w.ndim == 3 else axes.path().num_ws
    return Edit.of(amounts, axes.attribute_names, num_ws=num_ws)


def _path(axes: AttributeAxes, face: StudioFace) -> EditPath:
    path = axes.path()
    return path if face.pivot is None else PivotPath(path, face.pivot)


@jax.jit
def _small_pixels(
    render: Any, path: EditPath, transform: QuantileTransform, edit: Edit, w: Array
) -> UInt8[Array, "batch side side 3"]:
    return to_uint8(_at_small_side(render(apply_edit(path, transform, edit, w))))


@jax.jit
def _small_of(render: Any, w: Array) -> UInt8[Array, "batch side side 3"]:
    return to_uint8(_at_small_side(render(w)))


def _at_small_side(images: Array) -> Array:
    images = images if images.shape[3] == 3 else jnp.repeat(images[..., :1], 3, axis=3)
    return images if images.shape[1] <= SMALL_SIDE else resample(images, SMALL_SIDE)


@jax.jit
def _full_pixels(
    generator: Any, path: EditPath, transform: QuantileTransform, edit: Edit, w: Array, noise: Any
) -> UInt8[Array, "batch side side channels"]:
    options = {} if noise is None else {"noise": noise}
    return to_uint8(generator.synthesis(apply_edit(path, transform, edit, w), **options))


_read = jax.jit(lambda classifier, images: classifier(images))
