"""The stages that learn curves through images: readings of unedited images, derivatives, descent.

1. Images of the latents are rendered and read by all networks.
2. Derivatives of the readings at some latents give the preconditioner and the first tangents.
3. Descent, one batch of each attribute in turn: edit, render, read, update the curve.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from jaxedit.axes.curve_learning.descent import Curve, DescentState
from jaxedit.axes.curve_learning.image_reader import check_differentiable
from jaxedit.axes.curve_learning.loss import (
    LARGEST_POSITION,
    ColumnWeights,
    EditBatch,
    EditModel,
    derivatives,
    image_gradients,
)
from jaxedit.axes.curve_learning.preconditioner import Moments
from jaxedit.axes.curve_learning.refinement import Refinement
from jaxedit.parallel import over_batch
from jaxedit.storage.arrays import ArrayOf

_LARGEST_AMOUNT = 2.0
"""Of the descent, in standard deviations."""

_SAVE_EVERY = 5
"""Batches of the descent after which its states are kept."""

_PROBED = 3
"""Images at which the readings are checked for derivatives."""

Unedited = tuple[Float[np.ndarray, "num_latents num_columns"], tuple[np.ndarray, ...]]
"""Positions and descriptors of the unedited images."""


def read_unedited(r: Refinement) -> tuple[EditModel, Unedited]:
    """The model with its reader fitted to the independent networks, and the readings of the unedited images."""
    model = r.placed(r.model)

    def make() -> dict[str, np.ndarray]:
        parts = []
        with r.bar("unedited", len(r.w), "image") as bar:
            for count, (w,) in r.batches(r.config.batch_size, r.w):
                found = _read_raw(model, w, mesh=r.mesh)
                parts.append([np.asarray(leaf)[:count] for leaf in jax.tree.leaves(found)])
                bar.update(count)
        whole = [np.concatenate(part) for part in zip(*parts, strict=True)]
        return dict(zip(_names_of_readings(len(whole)), whole, strict=True))

    _, (first,) = next(r.batches(r.config.batch_size, r.w))
    shapes = jax.tree.leaves(jax.eval_shape(functools.partial(_read_raw, mesh=r.mesh), model, first))
    arrays = {
        name: ArrayOf("f", (len(r.w), *shape.shape[1:]), is_finite=True)
        for name, shape in zip(_names_of_readings(len(shapes)), shapes, strict=True)
    }
    found = r.run.get_or_make("unedited", make, arrays=arrays)
    names = r.columns[len(r.axes.attribute_names) :]
    reader = r.reader.fitted(found["independent"], names)
    positions = np.asarray(reader.positions(jnp.asarray(found["values"]), jnp.asarray(found["independent"])))
    descriptors = tuple(found[name] for name in arrays if name.startswith("descriptor_"))
    model = dataclasses.replace(r.model, reader=reader)
    return model, (np.clip(positions, -LARGEST_POSITION, LARGEST_POSITION), descriptors)


def _names_of_readings(count: int) -> list[str]:
    """The names of what a reader reads, by which the unit keeps them."""
    return ["values", "independent", *(f"descriptor_{i}" for i in range(count - 2))]


@functools.partial(jax.jit, static_argnames="mesh")
def _read_raw(model: EditModel, w: Array, *, mesh: Mesh | None) -> Any:
    def rows(model: EditModel, w: Array) -> Any:
        # In W+, so that the render sees what it sees of edited latents.
        w_plus = jnp.repeat(w[:, None], model.group_of_layer.shape[0], axis=1)
        return model.reader.raw(jnp.clip(model.render(w_plus), -1, 1))  # type: ignore[attr-defined]

    return rows(model, w) if mesh is None else over_batch(rows, mesh)(model, w)


def check_gradients(r: Refinement) -> None:
    """Raise unless every column is differentiable in the image.

    Raises:
        InputError: naming the column.
    """
    images = _render(r.model, jnp.asarray(r.w[:_PROBED]))
    check_differentiable(r.reader, images, r.columns)


@jax.jit
def _render(model: EditModel, w: Array) -> Array:
    return jnp.clip(model.render(jnp.repeat(w[:, None], model.group_of_layer.shape[0], axis=1)), -1, 1)


def read_moments(r: Refinement, model: EditModel, descriptor_sizes: Sequence[int]) -> Moments:
    """Moments of the derivatives at the first latents: of every column, and of random signs of the descriptors."""
    number, num_columns = r.config.num_derivatives, len(r.columns)
    # Two rows of random signs for the first descriptor, which weighs most, one for each other.
    which = [0, *range(len(descriptor_sizes))] if descriptor_sizes else []
    num_rows = num_columns + len(which)
    placed = r.placed(model)
    rows = np.zeros((number, num_rows, int(np.prod(r.shape))), np.float32)

    def cotangents(latent: int) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        random = np.random.default_rng([r.config.latent_seed, latent])
        signs = [np.zeros((num_rows, size), np.float32) for size in descriptor_sizes]
        for row, descriptor in enumerate(which, num_columns):
            signs[descriptor][row] = random.choice([-1, 1], descriptor_sizes[descriptor])
        return np.eye(num_rows, num_columns, dtype=np.float32), tuple(signs)

    step = r.per_device(1)
    with r.bar("derivatives", number, "latent") as bar:
        for start in range(0, number, step):
            latents = list(range(start, min(start + step, number)))
            units = [f"derivatives/{latent:05d}" for latent in latents]
            expected = {"rows": ArrayOf("f", rows.shape[1:], is_finite=True)}
            found = [r.run.read(unit, arrays=expected) for unit in units]
            if any(unit is None for unit in found):
                stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *(cotangents(i) for i in latents))
                zeros = np.zeros((len(latents), *r.shape), np.float32)
                for _, batch in r.batches(step, r.w[latents], zeros, stacked):
                    made = np.asarray(derivatives(placed, *batch, mesh=r.mesh))
                for i, (latent, unit) in enumerate(zip(latents, units, strict=True)):
                    rows[latent] = made[i].reshape(num_rows, -1)
                    r.run.write(unit, {"rows": rows[latent]})
            else:
                rows[latents] = np.stack([unit["rows"] for unit in found if unit is not None])
            bar.update(len(latents))
    of_descriptors = [
        rows[:, [row for row, d in enumerate(which, num_columns) if d == descriptor]].reshape(
            -1, rows.shape[2]
        )
        for descriptor in range(len(descriptor_sizes))
    ]
    return Moments.of(rows[:, :num_columns], of_descriptors)


def descend(r: Refinement, model: EditModel, unedited: Unedited, moments: Moments) -> dict[str, Curve]:
    """The curves of all targets after the descent, stretched to the amounts that were asked."""
    weights = {name: r.weights(name) for name in r.targets}
    states = {
        name: DescentState.go_on(r.former_curve(name), len(r.columns))
        if name in r.config.continued
        else DescentState.begin(
            moments.first_tangent(weights[name], r.loss).reshape(r.shape).astype(np.float32), len(r.columns)
        )
        for name in r.targets
    }
    size = r.config.images_per_update
    batches, done = -(-r.config.num_images // size), 0
    for unit in reversed(r.run.units("descent")):
        found = r.run.read(unit, arrays=_arrays_of_states(states))
        if found is not None:
            states = {
                name: DescentState(**{field: found[f"{i:03d}.{field}"] for field in DescentState._fields})
                for i, name in enumerate(r.targets)
            }
            done = int(unit.rpartition("/")[2])
            break
    if done < batches:
        inverses = {name: moments.inverse(weights[name], r.loss, damping=0.1) for name in r.targets}
    placed = r.placed(model)
    with r.bar("descent", batches * size * len(r.targets), "image") as bar:
        bar.initial = done * size * len(r.targets)
        bar.update(bar.initial)
        for number in range(done, batches):
            for index, name in enumerate(r.targets):
                random = np.random.default_rng([r.config.seed, number, index])
                amounts, gradients, read = _one_batch(
                    r, placed, unedited, weights[name], states[name], random
                )
                states[name] = states[name].updated(inverses[name], amounts, gradients, read["changes"])
                bar.update(size)
                bar.set_postfix_str(f"{name} {read['loss'].mean():.2f}")
            if (number + 1) % _SAVE_EVERY == 0 or number + 1 == batches:
                arrays = {
                    f"{i:03d}.{field}": array
                    for i, name in enumerate(r.targets)
                    for field, array in states[name]._asdict().items()
                }
                r.run.write(f"descent/{number + 1:06d}", arrays)
    return {
        name: state.rescaled(state.gains(weights[name]), keeps_curvature=name in r.config.continued)
        for name, state in states.items()
    }


def _arrays_of_states(states: dict[str, DescentState]) -> dict[str, ArrayOf]:
    """What the arrays of a unit of the descent must be, from the states before the first batch."""
    return {
        f"{i:03d}.{field}": ArrayOf(
            array.dtype.kind, (f"lengths of {i}",) if field == "lengths" else array.shape, is_finite=True
        )
        for i, state in enumerate(states.values())
        for field, array in state._asdict().items()
    }


def _one_batch(
    r: Refinement,
    model: EditModel,
    unedited: Unedited,
    weights: ColumnWeights,
    state: DescentState,
    random: np.random.Generator,
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]], dict[str, np.ndarray]]:
    """Some latents, each edited by the same amount to either side: amounts, gradients, and what was read."""
    half = r.config.images_per_update // 2
    latents = np.repeat(random.integers(len(r.w), size=half), 2)
    sizes = _LARGEST_AMOUNT * np.sqrt(random.uniform(0.04, 1, half))
    amounts = (np.repeat(sizes, 2) * np.tile([-1, 1], half)).astype(np.float32)
    batch = EditBatch(
        jnp.asarray(r.w[latents]),
        jnp.asarray(amounts),
        jnp.asarray(unedited[0][latents]),
        tuple(jnp.asarray(descriptor[latents]) for descriptor in unedited[1]),
        jnp.asarray(state.means(amounts)),
    )
    curve = r.placed(state.curve)
    gradients: list[tuple[np.ndarray, np.ndarray]] = []
    read: list[dict[str, np.ndarray]] = []
    for count, (rows,) in r.batches(r.per_device(r.config.gradient_batch_size), _Rows(batch)):
        found, seen = image_gradients(model, curve, weights, rows.batch, r.loss, mesh=r.mesh)
        of_tangent, of_curvature = (np.asarray(part) for part in found)
        gradients += [(of_tangent[i], of_curvature[i]) for i in range(count)]
        read.append({key: np.asarray(value)[:count] for key, value in seen.items()})
    return amounts, gradients, {key: np.concatenate([part[key] for part in read]) for key in read[0]}


@functools.partial(jax.tree_util.register_dataclass, data_fields=["batch"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class _Rows:
    """A batch with a length."""

    __no_type_check__ = True

    batch: EditBatch

    def __len__(self) -> int:
        return len(self.batch.w)


def read_moved(
    r: Refinement,
    model: EditModel,
    w: Float[np.ndarray, "num_latents w_dim"],
    moves: Float[np.ndarray, "num_latents num_groups k"],
) -> Float[np.ndarray, "num_latents num_columns"]:
    """Positions that all networks read of latents that are moved."""
    placed = r.placed(model)
    parts = [
        np.asarray(_read_moved(placed, rows, moved, mesh=r.mesh))[:count]
        for count, (rows, moved) in r.batches(r.config.batch_size, w, moves)
    ]
    return np.clip(np.concatenate(parts), -LARGEST_POSITION, LARGEST_POSITION)


@functools.partial(jax.jit, static_argnames="mesh")
def _read_moved(model: EditModel, w: Array, moves: Array, *, mesh: Mesh | None) -> Array:
    def rows(model: EditModel, w: Array, moves: Array) -> Array:
        return model.read(w, moves)[0]

    return rows(model, w, moves) if mesh is None else over_batch(rows, mesh)(model, w, moves)
