"""The stages that measure curves in full images: calibration, and correction at far amounts."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from jaxedit.axes.curve_learning.calibration import (
    CALIBRATION_AMOUNT,
    DEFAULT_ENDS,
    DEFAULT_SLOPE,
    measured_slope,
    mixed,
    unmixed,
    without_others,
)
from jaxedit.axes.curve_learning.descent import Curve
from jaxedit.axes.curve_learning.loss import LARGEST_POSITION, along_curve, in_layers
from jaxedit.axes.curve_learning.refinement import Refinement
from jaxedit.axes.layer_curves import LayerCurves
from jaxedit.parallel import over_batch
from jaxedit.storage.arrays import ArrayOf

_SHAPE_AMOUNT = 1.5
"""At which shapes are measured: a hat or glasses are not there until they are, most often beyond an amount of one."""

_LEAST_GAIN = 0.5
"""Change of an attribute by its own curve, relative to the amount, from which on the curve takes it out of others."""


def read_in_full(
    r: Refinement, unit: str, w_plus: Float[np.ndarray, "num_latents num_ws w_dim"]
) -> Float[np.ndarray, "num_latents num_attributes"]:
    """Positions that the classifier reads in full images of latents."""
    network = r.placed((r.generator, r.reader.classifier))

    def make() -> dict[str, np.ndarray]:
        parts = []
        with r.bar(unit, len(w_plus), "image") as bar:
            for count, (rows,) in r.batches(r.config.batch_size, w_plus):
                parts.append(np.asarray(_classify(network, rows, mesh=r.mesh))[:count])
                bar.update(count)
        return {"values": np.concatenate(parts)}

    expected = {"values": ArrayOf("f", (len(w_plus), r.num_classified), is_finite=True)}
    values = r.run.get_or_make(unit, make, arrays=expected)["values"][:, np.asarray(r.reader.columns)]
    positions = np.asarray(r.axes.quantile_transform.transform(values))
    return np.clip(positions, -LARGEST_POSITION, LARGEST_POSITION)


@functools.partial(jax.jit, static_argnames="mesh")
def _classify(network: Any, w_plus: Array, *, mesh: Mesh | None) -> Array:
    def rows(network: Any, w_plus: Array) -> Array:
        generator, classifier = network
        return classifier(jnp.clip(generator.synthesis(w_plus), -1, 1))

    return rows(network, w_plus) if mesh is None else over_batch(rows, mesh)(network, w_plus)


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """Curves after calibration.

    Attributes:
        curves: of each target.
        ends: of each target, beyond which edits saturate.
        slopes: of each target beyond its ends.
    """

    curves: dict[str, Curve]
    ends: dict[str, tuple[float, float]]
    slopes: dict[str, float]


def calibrate(r: Refinement, curves: dict[str, Curve]) -> Calibrated:
    """The curves with what they do in full images taken into account, round after round."""
    w, names = r.w[-r.config.num_calibration_latents :], r.axes.attribute_names
    ends = {name: r.config.ends.get(name, DEFAULT_ENDS) for name in r.targets}
    slopes = dict.fromkeys(r.targets, DEFAULT_SLOPE)
    codes = np.asarray(r.axes.encode(w))
    # In W+, as the edited ones are, so that one program renders both.
    repeated = np.repeat(w[:, None], r.generator.num_ws, axis=1)
    kept = _kept(r)
    for number in range(r.config.num_calibrations):
        unedited = read_in_full(r, "calibration/unedited", repeated)
        effects = {}
        for name, curve in (curves | kept).items():
            sides = []
            for side, word in ((-1, "down"), (1, "up")):
                moved = np.full(len(w), side * CALIBRATION_AMOUNT, np.float32)
                unit = f"calibration/{'kept' if name in kept else number}-{names.index(name):03d}-{word}"
                seen = read_in_full(r, unit, _displaced(r, w, curve, moved))
                sides.append(side * (seen - unedited) / CALIBRATION_AMOUNT)
            effects[name] = np.stack(sides)
            if name in curves:
                at = names.index(name)
                slopes[name] = measured_slope(codes[:, at], effects[name][:, :, at], ends[name])
        held = _reached(r, effects) if r.config.held is None else r.held
        found = mixed(names, curves | kept, effects, held)
        curves = {name: found[name] for name in curves}
    return Calibrated(curves, ends, slopes | {n: s for n, s in r.config.slopes.items() if n in slopes})


def _kept(r: Refinement) -> dict[str, Curve]:
    """Curves of held attributes that the axes have and that are not learned: they take their own out of others."""
    if r.axes.curves is None:
        return {}
    others = (*r.targets, *r.config.in_layers)
    return {name: r.former_curve(name) for name in r.held if name not in others}


def taken_apart(r: Refinement, curves: dict[str, Curve]) -> dict[str, Curve]:
    """Curves of attributes of shape without the held ones among them that appear along the way, measured.

    They move the same layers along paths in W, so that a difference of them is such a path, too: hair that grows and
    puts on glasses gets less of the curve of glasses.
    """
    w, names = r.w[-r.config.num_calibration_latents :], r.axes.attribute_names
    unedited = read_in_full(r, "calibration/unedited", np.repeat(w[:, None], r.generator.num_ws, axis=1))
    columns, effects = [names.index(name) for name in curves], []
    amounts = np.full(len(w), _SHAPE_AMOUNT, np.float32)
    for name, curve in curves.items():
        seen = read_in_full(r, f"shapes/{names.index(name):03d}-up", _displaced(r, w, curve, amounts))
        effects.append((seen - unedited)[:, columns] / _SHAPE_AMOUNT)
    return unmixed(curves, np.stack(effects), r.held)


def _reached(r: Refinement, effects: dict[str, np.ndarray]) -> tuple[str, ...]:
    """The held attributes whose own curves move them by half of what is asked or more, to both sides.

    A curve that does not move its attribute cannot take it out of other curves.
    """
    names = r.axes.attribute_names
    return tuple(
        name
        for name in r.held
        if name in effects and effects[name][:, :, names.index(name)].mean(1).min() >= _LEAST_GAIN
    )


def correct_far(r: Refinement, calibrated: Calibrated) -> Calibrated:
    """The curves of `RefinementConfig.far` without what they do to the other held attributes at those amounts."""
    curves = dict(calibrated.curves)
    w, names = r.w[-r.config.num_calibration_latents :], r.axes.attribute_names
    far = [name for name in r.config.far if name in curves]
    if not far:
        return calibrated
    codes = np.asarray(r.axes.encode(w))
    unedited = read_in_full(r, "calibration/unedited", np.repeat(w[:, None], r.generator.num_ws, axis=1))
    for name in far:
        saturate = _saturation(calibrated, name)
        position = jnp.asarray(codes[:, [names.index(name)]])
        others = [other for other in r.held if other in curves and other != name]
        effects, distances = [], []
        for side, word, amount in zip((-1, 1), ("down", "up"), r.config.far[name], strict=True):
            moved = np.asarray(saturate(position + side * amount) - saturate(position))[:, 0]
            unit = f"far/{names.index(name):03d}-{word}"
            seen = read_in_full(r, unit, _displaced(r, w, calibrated.curves[name], moved))
            effects.append(side * (seen - unedited)[:, [names.index(other) for other in others]])
            distances.append(float(np.abs(moved).mean()))
        curves[name] = without_others(
            name, calibrated.curves, np.stack(effects), others, np.asarray(distances)
        )
    return dataclasses.replace(calibrated, curves=curves)


def _displaced(
    r: Refinement, w: np.ndarray, curve: Curve, moved: Float[np.ndarray, " num_latents"]
) -> Float[np.ndarray, "num_latents num_ws w_dim"]:
    """Latents that are moved along a curve."""
    moves = along_curve(
        (jnp.asarray(curve[0], jnp.float32), jnp.asarray(curve[1], jnp.float32)),
        jnp.asarray(moved, jnp.float32),
    )
    return w[:, None] + np.asarray(in_layers(r.axes.pca, r.model.group_of_layer, moves))


def _saturation(calibrated: Calibrated, name: str) -> Callable[[Array], Array]:
    """T of one axis."""
    none = jnp.zeros((1, 1, 1))
    ends, slope = jnp.asarray([calibrated.ends[name]]), jnp.asarray([calibrated.slopes[name]])
    return LayerCurves(none, none, ends, slope, jnp.zeros(1, jnp.int32)).saturate
