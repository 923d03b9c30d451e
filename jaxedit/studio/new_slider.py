"""A new slider: the labels that a taught classifier gives become an axis beside the others.

FOLDER/axes             the axes with all taught attributes, as `jaxedit.load_axes` reads them
FOLDER/things/NAME.npz  the labels of one taught attribute
FOLDER/classifiers/NAME its classifier, as `jaxedit.LearnedClassifier.load` reads it
"""

import dataclasses
from collections.abc import Collection
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxedit.attributes.classifier import AttributeClassifier
from jaxedit.attributes.joined import join_classifiers
from jaxedit.attributes.learned.classifier import LearnedClassifier
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.config import AxesConfig
from jaxedit.axes.curve_learning.config import RefinementConfig
from jaxedit.axes.curve_learning.image_reader import RefinementNetworks
from jaxedit.axes.curve_learning.refine import RUN_KIND as REFINEMENT_KIND
from jaxedit.axes.curve_learning.refine import refine_axes
from jaxedit.axes.layer_curves import LayerCurves, pseudo_huber
from jaxedit.axes.learning.learn import learn_axes
from jaxedit.errors import InputError, OutputError
from jaxedit.generators.protocol import Generator
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.latents.renders import cheap_render
from jaxedit.storage.arrays import ArrayOf, read_arrays, write_arrays
from jaxedit.storage.runs import RunFolder

AXES_FOLDER = "axes"
THINGS_FOLDER, CLASSIFIERS_FOLDER, REFINEMENTS_FOLDER = "things", "classifiers", "refinements"
_KIND = "taught labels"
_ARRAYS = {"rows": ArrayOf("iu", ("num_rows",)), "values": ArrayOf("f", ("num_rows",), is_finite=True)}
UNIT = "log-odds"

_FEWEST = 100
"""Labels from which an axis is learned, at least."""

_MEASURED_ON = 256
"""Latents over which the path of the new axis is averaged."""

_ALIKE, _RELATED = 0.6, 0.45
"""Correlation with a taught attribute from which on another one says the same, so that it must not be held; and with
both the taught one and such a one."""

REFINEMENT = RefinementConfig(
    num_latents=96, num_derivatives=12, num_images=64, num_calibration_latents=16, num_calibrations=1
)
"""Settings of a refinement for which somebody waits."""


@dataclasses.dataclass(frozen=True)
class TaughtLabels:
    """Labels of one taught attribute.

    Attributes:
        name: of the attribute.
        rows: of the dataset's latents.
        values: log-odds.
    """

    name: str
    rows: Int[np.ndarray, " num_rows"]
    values: Float[np.ndarray, " num_rows"]

    def save(self, folder: str | Path) -> Path:
        """Write them into the studio's folder.

        Raises:
            OutputError: if the file cannot be written.
        """
        path = Path(folder) / THINGS_FOLDER / f"{self.name}.npz"
        return write_arrays(path, {"rows": self.rows, "values": self.values}, {"name": self.name}, kind=_KIND)


def load_taught(folder: str | Path) -> list[TaughtLabels]:
    """All taught labels of a studio's folder, in the order of their names.

    Raises:
        InputError: if a file is damaged.
    """
    found = []
    for path in sorted((Path(folder) / THINGS_FOLDER).glob("*.npz")):
        file = read_arrays(path, kind=_KIND, expected="taught labels", arrays=_ARRAYS)
        found.append(TaughtLabels(path.stem, file.arrays["rows"], file.arrays["values"]))
    return found


def with_taught(dataset: LabelledLatents, taught: TaughtLabels) -> LabelledLatents:
    """The dataset with one more attribute, NaN where it was not labeled.

    Raises:
        InputError: if there are too few labels, or labels of other latents.
    """
    if len(taught.rows) < _FEWEST:
        raise InputError(f"{taught.name}: expected {_FEWEST} labeled faces or more, got {len(taught.rows)}")
    if int(taught.rows.max()) >= len(dataset):
        raise InputError(f"{taught.name}: expected labels of {len(dataset)} latents, got those of others")
    column = np.full((len(dataset), 1), np.nan, np.float32)
    column[taught.rows, 0] = taught.values
    return dataclasses.replace(
        dataset,
        values=np.concatenate([np.asarray(dataset.values, np.float32), column], axis=1),
        attribute_names=(*dataset.attribute_names, taught.name),
        attribute_units=(*dataset.attribute_units, UNIT),
    )


def learn_with(
    axes: AttributeAxes,
    dataset: LabelledLatents,
    taught: TaughtLabels,
    config: AxesConfig | None = None,
    *,
    progress: bool = False,
) -> AttributeAxes:
    """Axes with a taught attribute beside those that there are.

    All axes are learned together, so that the new one leaves the others alone; but those that say the same (a taught
    "light hair" beside the lightness of the hair) go along with it. Curves and usable ranges of the others stay; the
    new axis moves all layers alike.

    Args:
        axes: those that there are.
        dataset: labels of their attributes.
        taught: labels of the new one.
        config: settings of learning.
        progress: whether to show a bar.

    Raises:
        InputError: if the attribute exists already, or has too few labels.
    """
    if taught.name in axes.attribute_names:
        raise InputError(f"name: expected a new one, {taught.name!r} is a slider already")
    both = with_taught(dataset.select(axes.attribute_names), taught)
    learned = learn_axes(both, axes.pca, config, progress=progress)
    ranges = None
    if axes.ranges is not None:
        ranges = np.concatenate([np.asarray(axes.ranges), np.full((1, 2), np.nan, np.float32)])
    curves = None
    if axes.curves is not None:
        alike = alike_of(both, taught.name)
        others = [name for name in axes.attribute_names if name not in alike]
        apart = learned
        if alike:
            apart = learn_axes(both.select([*others, taught.name]), axes.pca, config, progress=progress)
        curves = _with_path(axes.curves, apart, np.asarray(dataset.w))
    return dataclasses.replace(learned, curves=curves, ranges=ranges)


def alike_of(dataset: LabelledLatents, name: str) -> set[str]:
    """The attributes that say the same as one of them, or the opposite: their labels go together.

    Those count, too, that go with it less, if they go with one of these as well: who is taught "light hair" moves the
    lightness of the hair, and blond, black and gray hair with it, but not the background, which hair follows a little.
    """
    values = np.asarray(dataset.values, np.float64)

    def together(one: int, other: int) -> float:
        known = np.isfinite(values[:, one]) & np.isfinite(values[:, other])
        both = values[known, one], values[known, other]
        if known.sum() < _FEWEST or not all(x.std() > 0 for x in both):
            return 0.0
        return float(abs(np.corrcoef(*both)[0, 1]))

    own = dataset.attribute_names.index(name)
    others = [i for i in range(len(dataset.attribute_names)) if i != own]
    near = {i: together(own, i) for i in others}
    same = {i for i in others if near[i] >= _ALIKE}
    further = {
        i for i in others if near[i] >= _RELATED and any(together(i, j) >= _RELATED for j in same if j != i)
    }
    return {dataset.attribute_names[i] for i in same | further}


def _with_path(curves: LayerCurves, axes: AttributeAxes, w: np.ndarray) -> LayerCurves:
    """The curves with one more: the mean path of the decoder along the last axis, the same for all layers."""
    codes = axes.encode(w[:_MEASURED_ON])
    index = axes.num_attributes - 1
    start = axes.autoencoder.decode(codes)
    down, up = (
        (axes.autoencoder.decode(codes.at[:, index].add(side)) - start).mean(0) / axes.pca.whitened_scale
        for side in (-1.0, 1.0)
    )
    groups = (1, curves.tangents.shape[1], 1)
    tangent = jnp.tile((up - down) / 2, groups)
    curvature = jnp.tile((up + down) / (2 * pseudo_huber(jnp.float32(1.0))), groups)
    return jax.device_put(
        LayerCurves(
            jnp.concatenate([curves.tangents, tangent]),
            jnp.concatenate([curves.curvatures, curvature]),
            jnp.concatenate([curves.ends, jnp.asarray([[-4.0, 4.0]])]),
            jnp.concatenate([curves.slopes, jnp.ones(1)]),
            curves.group_of_layer,
        )
    )


def refine_with(
    generator: Generator,
    axes: AttributeAxes,
    name: str,
    classifier: AttributeClassifier,
    folder: str | Path,
    alike: Collection[str] = (),
) -> AttributeAxes:
    """Refine one axis through images, so that its edits change less of everything else (`jaxedit.refine_axes`).

    A run that was interrupted goes on: its state is in `folder` until `forget_refinement`.

    Args:
        generator: of the axes.
        axes: with the attribute.
        name: of the attribute.
        classifier: of all attributes of the axes.
        folder: the studio's, from which classifiers of what was taught are read.
        alike: attributes that say the same, which may change with it (`alike_of`).

    Raises:
        InputError: if the classifier of an attribute is missing, or the state is that of other axes or classifiers.
        OutputError: if the state of the run cannot be written.
    """
    found = [classifier]
    for path in sorted((Path(folder) / CLASSIFIERS_FOLDER).glob("*")):
        if path.name in axes.attribute_names:
            found.append(LearnedClassifier.load(path))
    refined = refine_axes(
        generator,
        axes,
        join_classifiers(found),
        dataclasses.replace(
            REFINEMENT,
            attributes=(name,),
            held=tuple(other for other in axes.attribute_names if other not in alike),
            weights=dict.fromkeys(sorted(alike), 0.0),
        ),
        networks=RefinementNetworks(render=cheap_render(generator)),
        out=Path(folder) / REFINEMENTS_FOLDER / name,
    )
    return dataclasses.replace(refined, ranges=axes.ranges)


def with_curve_of(axes: AttributeAxes, refined: AttributeAxes, name: str) -> AttributeAxes:
    """The axes with the refined curve of one attribute: other sliders may have been added meanwhile.

    Raises:
        InputError: if the attribute is gone, or the axes have other curves.
    """
    ours, theirs = axes.curves, refined.curves
    if name not in axes.attribute_names or ours is None or theirs is None:
        raise InputError(f"{name}: expected axes with its curve, they were changed meanwhile")
    if not np.array_equal(ours.group_of_layer, theirs.group_of_layer):
        raise InputError(
            f"{name}: expected curves for the same groups of layers, they were changed meanwhile"
        )
    row, other = axes.attribute_names.index(name), refined.attribute_names.index(name)
    changed = {
        field: getattr(ours, field).at[row].set(getattr(theirs, field)[other])
        for field in ("tangents", "curvatures", "ends", "slopes")
    }
    return dataclasses.replace(axes, curves=dataclasses.replace(ours, **changed))


def unfinished_refinements(folder: str | Path) -> list[str]:
    """Names of the attributes whose refinement was interrupted."""
    return sorted(path.name for path in (Path(folder) / REFINEMENTS_FOLDER).glob("*") if path.is_dir())


def ask_for_refinement(folder: str | Path, name: str) -> None:
    """Make the folder of a refinement, so that it is done even if the studio ends before.

    Raises:
        OutputError: if it cannot be made.
    """
    forget_refinement(folder, name)
    path = Path(folder) / REFINEMENTS_FOLDER / name
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from error


def forget_refinement(folder: str | Path, name: str) -> None:
    """Remove the state of a refinement.

    Raises:
        OutputError: if it cannot be removed.
    """
    path = Path(folder) / REFINEMENTS_FOLDER / name
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()
    elif path.exists():
        RunFolder.load(path, kind=REFINEMENT_KIND).remove()
