"""Where an axis is usable: how far it can be moved before an edit stops to do what it says.

Faces are moved along each axis, step by step, and read. A side of the slider ends before the first amount at which one
of these holds, on average over the faces:

- *target*: the attribute no longer changes: by less than a quarter of the most that a step of this size has changed so
  far (what is worn appears all at once, and not with the first step);
- *extreme*: the attribute is where no face is: beyond three standard deviations, as one face in 400 is;
- *identity*: a network takes the face for another one;
- *flaw*: more of the images look broken than before (needs a classifier that has learned what broken means);
- *background*: what lies behind the person changes.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from jaxedit.attributes.classifier import AttributeClassifier, network_identity
from jaxedit.attributes.learned.marked_faces import FLAW
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.errors import InputError
from jaxedit.evaluation.evaluators import Evaluators, IndependentNetworks, Network
from jaxedit.evaluation.in_places import method_of, without_places
from jaxedit.evaluation.measurement import Measurement
from jaxedit.evaluation.readings import Readings
from jaxedit.generators.protocol import Generator, weights_fingerprint
from jaxedit.latents.seed_stream import sample_z
from jaxedit.storage.arrays import ArrayOf
from jaxedit.storage.runs import RunFolder

RUN_KIND = "ranges"
"""Kind of the run folder."""


@dataclasses.dataclass(frozen=True)
class RangeConfig:
    """What is measured, and what ends a range.

    Attributes:
        amounts: sizes of the amounts on either side, rising.
        faces: number of faces.
        seed: of the faces.
        truncation_psi: of the faces.
        least_gain: of the target, relative to the largest of the steps so far.
        extreme: largest mean position on the axis, in standard deviations.
        identity: largest mean distance of identity descriptors. 0.6 is the threshold for one person of the face
            network that this library has.
        flaw: largest rise of the share of images that look broken.
        background: largest mean distance of the background's descriptor, in colors of [-1, 1].
        moves_background: attributes that have their place behind the head, such as long hair: for these the background
            ends nothing.
        batch_size: images at once.

    Raises:
        InputError: if a number is out of range.
    """

    amounts: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
    faces: int = 16
    seed: int = 3000
    truncation_psi: float = 0.7
    least_gain: float = 0.25
    extreme: float = 3.0
    identity: float = 0.6
    flaw: float = 0.15
    background: float = 0.5
    moves_background: tuple[str, ...] = ()
    batch_size: int = 4

    def __post_init__(self) -> None:
        if not self.amounts or self.amounts[0] <= 0 or (np.diff(self.amounts) <= 0).any():
            raise InputError(f"amounts: expected rising numbers above 0, got {list(self.amounts)}")
        for name in ("faces", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, got {getattr(self, name)}")


@dataclasses.dataclass(frozen=True)
class RangeNetworks:
    """What reads the images.

    Attributes:
        classifier: of the axes' attributes.
        identity: descriptors of identity; None leaves identity out.
        background: descriptors of the background; None leaves it out.
        flaw: a classifier with an attribute "flaw" in log-odds. None: that of `classifier`, or flaws are left out.
    """

    classifier: AttributeClassifier
    identity: Network | None = None
    background: Network | None = None
    flaw: AttributeClassifier | None = None


@dataclasses.dataclass(frozen=True)
class MeasuredRange:
    """The range of one axis.

    Attributes:
        down: the usable amount furthest down, 0 or below.
        up: the usable amount furthest up.
        ended_down: what ended it below: "target", "extreme", "identity", "flaw", "background"; "" where all amounts are
            usable.
        ended_up: likewise above.
        readings: of each amount (down to up): "target" in standard deviations, and what else was read.
    """

    down: float
    up: float
    ended_down: str
    ended_up: str
    readings: Mapping[str, Float[np.ndarray, " num_amounts"]]


def measure_ranges(
    generator: Generator,
    axes: AttributeAxes,
    networks: RangeNetworks,
    config: RangeConfig | None = None,
    *,
    attributes: Sequence[str] | None = None,
    out: str | Path | None = None,
    progress: bool = True,
) -> dict[str, MeasuredRange]:
    """Measure where each axis is usable.

    Args:
        generator: of the axes; a `PlacingGenerator` of it measures edits drawn at their places.
        axes: to measure.
        networks: read the images.
        config: amounts, faces and limits.
        attributes: which; None for all.
        out: folder of the run, which resumes attribute by attribute. None keeps nothing.
        progress: whether to show a bar.

    Returns:
        By attribute. `with_ranges` puts them into the axes.

    Raises:
        InputError: if the classifier lacks an attribute, an attribute is unknown, or `out` holds another run.
        OutputError: if `out` cannot be written.
    """
    config = config or RangeConfig()
    axes.check_generator(without_places(generator))
    names = tuple(axes.attribute_names) if attributes is None else tuple(attributes)
    for name in names:
        if name not in axes.attribute_names:
            raise InputError(f"attribute {name!r}: expected one of {', '.join(axes.attribute_names)}")
        if name not in networks.classifier.names:
            raise InputError(f"classifier: expected the attribute {name!r} of the axes")
    if networks.flaw is not None and FLAW not in networks.flaw.names:
        raise InputError(f"flaw: expected a classifier with {FLAW!r}, got {', '.join(networks.flaw.names)}")
    run = None
    if out is not None:
        request = {
            "generator": weights_fingerprint(generator),
            "axes": axes.fingerprint(),
            "amounts": config.amounts,
            "faces": config.faces,
            "seed": config.seed,
            "truncation_psi": config.truncation_psi,
            "networks": {
                field.name: network_identity(getattr(networks, field.name))
                for field in dataclasses.fields(networks)
            },
        }
        run = RunFolder.open(out, kind=RUN_KIND, request=request)
    z = jnp.asarray(sample_z(config.seed, config.faces, generator.z_dim))
    w = np.asarray(generator.mapping(z, truncation_psi=config.truncation_psi), np.float32)
    amounts = np.array([*(-a for a in reversed(config.amounts)), 0.0, *config.amounts], np.float32)
    expected = _expected(networks, len(amounts), len(w))
    found, unedited = {}, None
    with tqdm(total=len(names) * len(amounts) * len(w), unit="image", disable=not progress) as bar:
        measurement = Measurement(generator, _evaluators(networks), w, config.batch_size, bar)
        for name in names:
            bar.set_description(name)
            readings = None if run is None else run.read(f"readings/{name}", arrays=expected)
            if readings is None:
                if unedited is None:
                    bar.total = (bar.total or 0) + len(w)
                    unedited = measurement.read_unedited()
                readings = _read(measurement, axes, name, amounts, unedited)
                if run is not None:
                    run.write(f"readings/{name}", readings)
            else:
                bar.update(len(amounts) * len(w))
            if name in config.moves_background:
                readings = {key: values for key, values in readings.items() if key != "background"}
            found[name] = _range(amounts, readings, config)
    return found


def with_ranges(axes: AttributeAxes, ranges: Mapping[str, MeasuredRange]) -> AttributeAxes:
    """The axes with these ranges; attributes that were not measured keep what they have."""
    kept = np.full((axes.num_attributes, 2), np.nan, np.float32) if axes.ranges is None else axes.ranges
    rows = np.array(kept, np.float32)
    for name, found in ranges.items():
        rows[axes.attribute_names.index(name)] = found.down, found.up
    return dataclasses.replace(axes, ranges=rows)


def describe_ranges(ranges: Mapping[str, MeasuredRange]) -> str:
    """A table for people."""
    lines = [f"  {'attribute':24}{'down':>7}{'up':>7}   what ends it (down, up)"]
    for name, found in ranges.items():
        why = f"{found.ended_down or '–'}, {found.ended_up or '–'}"
        lines.append(f"  {name:24}{found.down:+7.1f}{found.up:+7.1f}   {why}".replace("-", "−"))
    return "\n".join(lines)


def _expected(networks: RangeNetworks, num_amounts: int, faces: int) -> dict[str, ArrayOf]:
    """What the readings of an axis are."""
    parts = {"identity": networks.identity, "background": networks.background, FLAW: networks.flaw}
    keys = ["target", *(key for key, network in parts.items() if network is not None)]
    if FLAW in networks.classifier.names and FLAW not in keys:
        keys.append(FLAW)
    return {key: ArrayOf("f", (num_amounts, faces), is_finite=True) for key in keys}


def _evaluators(networks: RangeNetworks) -> Evaluators:
    described = {"identity": networks.identity, "background": networks.background}
    return Evaluators(
        networks.classifier,
        independent={} if networks.flaw is None else {FLAW: IndependentNetworks(networks.flaw)},
        identity={key: network for key, network in described.items() if network is not None},
    )


def _read(
    measurement: Measurement,
    axes: AttributeAxes,
    name: str,
    amounts: Float[np.ndarray, " num_amounts"],
    unedited: Readings,
) -> dict[str, Float[np.ndarray, "num_amounts faces"]]:
    """Positions on the axis, distances from the unedited face, and probabilities of flaws."""
    evaluators, faces = measurement.evaluators, len(measurement.w)
    method = method_of(measurement.generator, axes)
    seen = measurement.read_edited(lambda w, a: method.edit(w, name, a), amounts, faces, unedited)
    index, column = axes.attribute_names.index(name), evaluators.classifier.names.index(name)
    transform = jax.tree.map(lambda table: table[index : index + 1], axes.quantile_transform)
    raw = np.asarray(seen["values"][..., column], np.float32).reshape(-1, 1)
    found = {"target": np.asarray(transform.transform(raw)).reshape(len(amounts), faces)}
    found |= {key: seen[f"identity.{key}"] for key in evaluators.identity}
    own, further = tuple(evaluators.classifier.names), evaluators.independent.get(FLAW)
    if further is not None or FLAW in own:
        read, of = (
            (seen["values"], own) if further is None else (seen[f"independent.{FLAW}"], further.columns)
        )
        log_odds = read[..., tuple(of).index(FLAW)].astype(np.float64)
        found[FLAW] = 1 / (1 + np.exp(-log_odds))
    return {key: np.asarray(value, np.float32) for key, value in found.items()}


def _range(
    amounts: Float[np.ndarray, " num_amounts"], readings: Mapping[str, np.ndarray], config: RangeConfig
) -> MeasuredRange:
    means = {name: values.mean(1) for name, values in readings.items()}
    origin = int(np.flatnonzero(amounts == 0)[0])
    means["extreme"] = np.abs(means["target"])
    means["target"] = means["target"] - means["target"][origin]
    if FLAW in means:
        means[FLAW] = (readings[FLAW] > 0.5).mean(1) - (readings[FLAW][origin] > 0.5).mean()
    ends = []
    for side in (-1, 1):
        rows = origin + side * np.arange(len(config.amounts) + 1)
        ends.append(_end(amounts[rows], {name: values[rows] for name, values in means.items()}, config))
    (down, why_down), (up, why_up) = ends
    return MeasuredRange(down, up, why_down, why_up, {"amount": amounts} | means)


def _end(
    amounts: Float[np.ndarray, " num_steps"], means: Mapping[str, np.ndarray], config: RangeConfig
) -> tuple[float, str]:
    """The last usable amount of a side, which starts at 0, and what ends it."""
    gains = np.diff(means["target"]) / np.diff(amounts)
    for step in range(1, len(amounts)):
        if gains[step - 1] < config.least_gain * max(gains[:step].max(), 1e-6):
            return float(amounts[step - 1]), "target"
        for name in ("extreme", "identity", FLAW, "background"):
            if name in means and means[name][step] > getattr(config, name):
                return float(amounts[step - 1]), name
    return float(amounts[-1]), ""
