"""Effects: what moving an axis changes in the image, as a classifier reads it.

With G the generator, T the quantile-transformed classifier and w(i, a) the edit of axis i by a,

    effect_ij = mean over w of ½ (T_j(G(w(i, +a))) − T_j(G(w(i, −a)))),

in standard deviations of attribute j. Good axes give a matrix near a · identity. The report of learned axes
(`AttributeAxes.report.effects`) has the same matrix by linear probes of the latents in place of T ∘ G.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxedit.attributes.classifier import AttributeClassifier, as_argument
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.leakage import leakage_of_effects
from jaxedit.errors import InputError
from jaxedit.evaluation.evaluators import Network
from jaxedit.evaluation.in_places import method_of
from jaxedit.evaluation.report.contact_sheet import EditSteps
from jaxedit.evaluation.thumbnails import padded_batches
from jaxedit.generators.protocol import Generator


@dataclasses.dataclass(frozen=True)
class EffectsConfig:
    """Settings of `effect_matrix`.

    Attributes:
        amount: standard deviations by which each axis is moved either way, positive.
        attribute_names: the axes to move, by default all.
        batch_size: images at once: 4 suits a CPU, 32 and more an accelerator.

    Raises:
        InputError: if a number is out of its range.
    """

    amount: float = 1.0
    attribute_names: Sequence[str] | None = None
    batch_size: int = 4

    def __post_init__(self) -> None:
        if not (np.isfinite(self.amount) and self.amount > 0):
            raise InputError(f"amount: expected a positive number of standard deviations, got {self.amount}")
        if self.batch_size < 1:
            raise InputError(f"batch_size: expected 1 or more, got {self.batch_size}")


@dataclasses.dataclass(frozen=True)
class ImageEffects:
    """Changes by edits in the image.

    Attributes:
        target_names: of the axes that were moved.
        measured_names: of the attributes that were measured: those of the axes that the classifier knows.
        amount: a, by how much each axis was moved either way, in standard deviations.
        effects: mean change of each measured attribute, in standard deviations.
        identity_distance: mean distance of the identity descriptors before and after an edit, or None.
    """

    target_names: tuple[str, ...]
    measured_names: tuple[str, ...]
    amount: float
    effects: Float[np.ndarray, "num_targets num_measured"]
    identity_distance: Float[np.ndarray, " num_targets"] | None

    @property
    def leakage(self) -> Float[np.ndarray, " num_targets"]:
        """Leakage of each target into all other measured attributes (`jaxedit.axes.leakage`)."""
        own = [self.measured_names.index(name) for name in self.target_names]
        return np.asarray(leakage_of_effects(self.effects, own))


def effect_matrix(
    generator: Generator,
    axes: AttributeAxes,
    classifier: AttributeClassifier,
    w: Float[Array | np.ndarray, "..."],
    config: EffectsConfig | None = None,
    *,
    identity: Network | None = None,
    progress: bool = True,
) -> ImageEffects:
    """Measure the effects of edits in images. Memory does not grow with the number of latents.

    Args:
        generator: makes the images; a `PlacingGenerator` draws edits at their places.
        axes: the axes to move.
        classifier: measures; it must know every attribute of the axes.
        w: the latents to edit, [num_latents, w_dim]: 2 images are made of each for each axis.
        config: settings, by default `EffectsConfig()`.
        identity: gives identity descriptors, for the identity distance.
        progress: whether to show a bar.

    Raises:
        InputError: if an attribute is unknown to axes or classifier, or a shape does not fit.
    """
    config = EffectsConfig() if config is None else config
    targets = tuple(axes.attribute_names if config.attribute_names is None else config.attribute_names)
    columns = _columns(axes, classifier)
    if w.ndim != 2 or not len(w):
        raise InputError(f"w: expected latents [num_latents, w_dim], got shape {list(w.shape)}")
    w = jnp.asarray(w, jnp.float32)
    networks = [as_argument(classifier)] + ([] if identity is None else [as_argument(identity)])

    total = 2 * len(w) * len(targets) + (0 if identity is None else len(w))
    with tqdm(total=total, desc="effects", unit="image", disable=not progress) as bar:

        def measured(latents: Array) -> list[np.ndarray]:
            return read_latents(generator, networks, latents, config.batch_size, bar)

        before = None if identity is None else measured(w)[1]
        method, size = method_of(generator, axes), jnp.full(len(w), config.amount, jnp.float32)
        effects, distances = [], []
        for name in targets:
            up, down = (measured(method.edit(w, name, sign * size)) for sign in (1.0, -1.0))
            positions = [axes.quantile_transform.transform(side[0][:, columns]) for side in (up, down)]
            effects.append(0.5 * np.asarray(positions[0] - positions[1], np.float64).mean(0))
            if before is not None:
                distances.append(
                    np.mean([np.linalg.norm(side[1] - before, axis=1).mean() for side in (up, down)])
                )
    return ImageEffects(
        targets,
        tuple(axes.attribute_names),
        config.amount,
        np.stack(effects).astype(np.float32),
        np.asarray(distances, np.float32) if before is not None else None,
    )


def effects_of_steps(
    faces: Sequence[EditSteps],
    axes: AttributeAxes,
    classifier: AttributeClassifier,
    *,
    amount: float = 1.0,
    batch_size: int = 8,
    progress: bool = True,
) -> ImageEffects:
    """The effects in images that were rendered for contact sheets: only measuring costs time.

    Args:
        faces: the steps of one or more faces, all with the same attributes, amounts and size.
        axes: the axes along which they were edited.
        classifier: measures. Attributes that it does not know are left out, as targets and as what changes.
        amount: standard deviations; `faces` must hold the steps to either side.
        batch_size: images that are measured at once.
        progress: whether to show a bar.

    Raises:
        InputError: if there are no faces or no such steps, or the classifier knows none of their attributes.
    """
    known = tuple(name for name in axes.attribute_names if name in classifier.names)
    columns = [tuple(classifier.names).index(name) for name in known]
    if not faces or not {amount, -amount} <= set(faces[0].amounts):
        raise InputError(f"faces: expected edits by {amount} and {-amount}")
    rows_of = [row for row, name in enumerate(faces[0].attribute_names) if name in known]
    if not rows_of:
        raise InputError(
            f"classifier: expected one that measures some of {', '.join(faces[0].attribute_names)}, it knows "
            f"{', '.join(classifier.names)}"
        )
    steps = [faces[0].amounts.index(sign * amount) for sign in (1.0, -1.0)]
    images = np.stack([face.images[rows_of][:, steps] for face in faces])
    flat = images.reshape(-1, *images.shape[3:])
    network = as_argument(classifier)
    values = []
    with tqdm(total=len(flat), desc="effects", unit="image", disable=not progress) as bar:
        for rows, batch in padded_batches(flat, batch_size):
            values.append(np.asarray(_measure_pixels(network, batch))[: rows.stop - rows.start, columns])
            bar.update(rows.stop - rows.start)
    of_axes = [axes.attribute_names.index(name) for name in known]
    every = np.zeros((len(flat), len(axes.attribute_names)), np.float32)
    every[:, of_axes] = np.concatenate(values)
    positions = np.asarray(axes.quantile_transform.transform(every), np.float64)[:, of_axes]
    up, down = np.moveaxis(positions.reshape(*images.shape[:3], -1), 2, 0)
    effects = (0.5 * (up - down)).mean(0).astype(np.float32)
    targets = tuple(faces[0].attribute_names[row] for row in rows_of)
    return ImageEffects(targets, known, amount, effects, None)


def _columns(axes: AttributeAxes, classifier: AttributeClassifier) -> list[int]:
    """The classifier's columns of the attributes of the axes."""
    missing = [name for name in axes.attribute_names if name not in classifier.names]
    if missing:
        raise InputError(
            f"classifier: expected one that measures the attributes of the axes, it does not know {', '.join(missing)}"
        )
    return [classifier.names.index(name) for name in axes.attribute_names]


def read_latents(
    generator: Generator,
    networks: list[Network],
    latents: Float[Array, "num_latents *style w_dim"],
    batch_size: int,
    bar: tqdm,
) -> list[Float[np.ndarray, "num_latents num_values"]]:
    """Readings of each network, in host memory; the bar counts images."""
    parts: list[list[np.ndarray]] = []
    for rows, batch in padded_batches(latents, batch_size):
        count = rows.stop - rows.start
        parts.append([np.asarray(values)[:count] for values in _measure_latents(generator, networks, batch)])
        bar.update(count)
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


@jax.jit
def _measure_latents(
    generator: Generator, networks: list[Network], w: Float[Array, "batch *style w_dim"]
) -> list[Float[Array, "batch num_values"]]:
    """Readings of each network, of the images of latents."""
    images = jnp.clip(generator.synthesis(w), -1, 1)
    return [network(images) for network in networks]


@jax.jit
def _measure_pixels(
    network: Network, pixels: Float[Array, "batch height width 3"]
) -> Float[Array, "batch num_values"]:
    """Readings of a network, of images of 0…255."""
    return network(pixels / 127.5 - 1)
