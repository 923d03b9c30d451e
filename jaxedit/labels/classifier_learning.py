"""A classifier learned from marks: images of some latents, what somebody saw in them, and frozen features.

Marks of a few hundred images are enough, since the features see already: only a linear head is learned (see
`jaxedit.attributes.learned.heads`). The classifier then labels as many latents as axes need.
"""

import dataclasses
import functools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8
from tqdm.auto import tqdm

from jaxedit.attributes.learned.classifier import LearnedClassifier
from jaxedit.attributes.learned.frozen import FROZEN, FrozenName, load_frozen
from jaxedit.attributes.learned.heads import FittedHead, Head, Kernels, check_marks, fit_head
from jaxedit.attributes.learned.regions import (
    FACE_REGIONS,
    FINE_FACE_REGIONS,
    IMAGE,
    Region,
    RegionFeatures,
)
from jaxedit.errors import InputError
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.protocol import Generator, check_square_rgb, weights_fingerprint
from jaxedit.images import from_pixels
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.marked_images import MarkedImages
from jaxedit.latents.renders import Render, cheap_render, full_render
from jaxedit.storage.arrays import ArrayOf
from jaxedit.storage.runs import RunFolder

RUN_KIND = "classifier features"
"""Kind of the run folder."""

REGIONS: dict[str, tuple[tuple[Region, ...], int | None]] = {
    "image": ((IMAGE,), 256),
    "face": (FACE_REGIONS, 256),
    "fine-face": (FINE_FACE_REGIONS, None),
}
"""Sets of regions by name, and the side that images are brought to: the whole image of anything; the parts of a face in
images aligned as FFHQ is, at 256 pixels a side or as they are."""


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """How a classifier is learned.

    Attributes:
        regions: "image" for images of anything; "face" for faces aligned as FFHQ is; "fine-face" for such faces of 512
            pixels and more a side, at twice the cost.
        network: the frozen one: "alex" for images of anything; "faceres", which learned to tell people apart, for a
            second view of faces.
        previews: whether every second batch are previews, where the generator has them: curves are learned through
            previews, and a classifier that has not seen any reads them less well. Not with "fine-face".
        batch_size: images at once: 8 suits a CPU, 64 an accelerator.
        unit_size: images of a unit of work. An interrupted run loses one at most.
        seed: of the folds of the cross-validation.

    Raises:
        InputError: if a setting is out of range.
    """

    regions: Literal["image", "face", "fine-face"] = "image"
    network: FrozenName = "alex"
    previews: bool = True
    batch_size: int = 8
    unit_size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.regions not in REGIONS:
            raise InputError(f"regions: expected one of {', '.join(REGIONS)}, got {self.regions!r}")
        if self.network not in FROZEN:
            raise InputError(f"network: expected one of {', '.join(FROZEN)}, got {self.network!r}")
        for name in ("batch_size", "unit_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, got {getattr(self, name)}")


def learn_classifier(
    generator: Generator,
    marks: LabelledLatents,
    config: ClassifierConfig | None = None,
    *,
    also: Sequence[MarkedImages] = (),
    out: str | Path | None = None,
    progress: bool = True,
) -> tuple[LearnedClassifier, tuple[Head, ...]]:
    """Learn a classifier from marked images.

    Args:
        generator: whose images were marked.
        marks: latents, and what somebody saw in their images (`Annotations.with_latents`); NaN where it is unknown. An
            attribute of 0 and 1 alone is there or not; any other is graded. Two hundred images are a start; rare
            attributes need more (see the quality).
        config: settings.
        also: marked images without latents, such as edited faces; each mark counts as one of `marks`. They have some of
            the attributes of these.
        out: folder of the run, which resumes when it was interrupted; holds the features. None keeps nothing.
        progress: whether to show a bar.

    Returns:
        The classifier, and for each attribute how well it was learned, on images that the fit had not seen. Values are
        log-odds for attributes that are there or not, and levels for graded ones. Rows of a `Head` are those of `marks`
        and then those of `also`; with `also` it tells the quality of each kind of images ("generated" are those of
        `marks`).

    Raises:
        InputError: if an attribute has too few marks, `also` has none of the attributes or other units, the generator's
            images are not square RGB, or `out` holds another run.
        DownloadError: if the frozen network cannot be fetched.
        OutputError: if `out` cannot be written.

    Examples:
        >>> import jaxedit
        >>> generator = jaxedit.load_generator("mobile-stylegan-ffhq")
        >>> marks = jaxedit.load_annotations("mobile-stylegan-ffhq").select(["headwear"]).with_latents(generator)
        >>> classifier, heads = jaxedit.learn_classifier(generator, marks)  # doctest: +SKIP
        >>> round(heads[0].quality, 2)  # doctest: +SKIP
        0.98
    """
    config = config or ClassifierConfig()
    check_square_rgb(generator, use="a learned classifier")
    regions, side = REGIONS[config.regions]
    network = RegionFeatures(load_frozen(config.network), regions, side)
    w = np.asarray(marks.w, np.float32)
    values = np.concatenate(
        [np.asarray(marks.values, np.float64)]
        + [part.columns(marks.attribute_names, marks.attribute_units) for part in also]
    )
    _check_marks(values, marks.attribute_names)
    with tempfile.TemporaryDirectory() as temporary:
        request = {
            "generator": weights_fingerprint(generator),
            "latents": weights_fingerprint(jnp.asarray(w)),
            "regions": config.regions,
            "network": config.network,
            "previews": config.previews,
            "unit_size": config.unit_size,
            "batch_size": config.batch_size,
        }
        request |= {"also": [part.fingerprint() for part in also]} if also else {}
        run = RunFolder.open(temporary if out is None else out, kind=RUN_KIND, request=request)
        renders = _renders(generator, config)
        with tqdm(total=len(values), desc="features", unit="image", disable=not progress) as bar:
            task = _Task(network, config, run, bar)

            def rendered(number: int, rows: np.ndarray) -> dict[str, Array]:
                return _read(renders[number % len(renders)], network, jnp.asarray(w[rows]))

            found = [_features(task, "features", len(w), rendered)]
            for i, part in enumerate(also):
                read = functools.partial(_read_pixels, network, part.images)
                found.append(_features(task, f"also/{i}", len(part), read))
        kernels = Kernels({name: np.concatenate([x[name] for x in found]) for name in network.names})
    groups, kinds = _groups_and_kinds(len(w), also)
    columns = list(zip(marks.attribute_names, values.T, strict=True))
    fitted = [
        fit_head(
            kernels,
            column,
            name,
            is_binary=_is_binary(column),
            seed=config.seed,
            groups=groups,
            kinds=kinds,
        )
        for name, column in tqdm(columns, desc="heads", unit="attribute", disable=not progress)
    ]
    sizes = {name: features.shape[1] for name, features in kernels.features.items()}
    return assembled_classifier(network, fitted, sizes), tuple(fit.head for fit in fitted)


GENERATED = "generated"
"""Kind of the images of marked latents."""


def _groups_and_kinds(
    count: int, also: Sequence[MarkedImages]
) -> tuple[Int[np.ndarray, " num_images"], tuple[str, ...]]:
    """Of the images of latents, and of the others; no kinds where there are no others."""
    groups = [np.arange(count)]
    for part in also:
        own = np.unique(part.groups, return_inverse=True)[1]
        groups.append(groups[-1].max(initial=-1) + 1 + own)
    kinds = (GENERATED,) * count + tuple(kind for part in also for kind in part.kinds)
    return np.concatenate(groups), kinds if also else ()


def _is_binary(marks: Float[np.ndarray, " num_images"]) -> bool:
    return set(np.unique(marks[np.isfinite(marks)])) <= {0.0, 1.0}


def _check_marks(values: Float[np.ndarray, "num_images num_attributes"], names: Sequence[str]) -> None:
    for name, column in zip(names, values.T, strict=True):
        check_marks(column[np.isfinite(column)], name, _is_binary(column))


def _renders(generator: Generator, config: ClassifierConfig) -> tuple[Render, ...]:
    """What makes the images, in turn."""
    has_previews = config.previews and config.regions != "fine-face" and isinstance(generator, MobileStyleGAN)
    return (full_render(generator), cheap_render(generator)) if has_previews else (full_render(generator),)


class _Task(NamedTuple):
    """What features are made with."""

    network: RegionFeatures
    config: ClassifierConfig
    run: RunFolder
    bar: tqdm


def _features(
    task: _Task, folder: str, count: int, read: Callable[[int, np.ndarray], dict[str, Array]]
) -> dict[str, Float[np.ndarray, "num_images num_features"]]:
    """The features of some images in half precision, unit by unit.

    Args:
        task: what they are made with.
        folder: of the units.
        count: number of images.
        read: features of some images, by the number of the batch in its unit and their rows.
    """
    size = task.config.unit_size
    expected = {name: ArrayOf("f", ("num_rows", f"features of {name}")) for name in task.network.names}
    parts = []
    for start in range(0, count, size):
        rows = np.arange(start, min(start + size, count))
        unit = f"{folder}/{start:09d}"
        found = task.run.read(unit, arrays=expected)
        if found is None or any(len(x) != len(rows) for x in found.values()):
            found = _unit(task, rows, read)
            task.run.write(unit, found)
        else:
            task.bar.update(len(rows))
        parts.append(found)
    return {name: np.concatenate([part[name] for part in parts]) for name in task.network.names}


def _unit(
    task: _Task, rows: np.ndarray, read: Callable[[int, np.ndarray], dict[str, Array]]
) -> dict[str, Float[np.ndarray, "num_rows num_features"]]:
    batches = []
    batch_size = task.config.batch_size
    for start in range(0, len(rows), batch_size):
        some = np.minimum(np.arange(start, start + batch_size), len(rows) - 1)  # the last batch is filled up
        count = min(batch_size, len(rows) - start)
        found = read(start // batch_size, rows[some])
        batches.append({name: np.asarray(value[:count], np.float16) for name, value in found.items()})
        task.bar.update(count)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@jax.jit
def _read(render: Render, network: RegionFeatures, w: Array) -> dict[str, Array]:
    return network(render(w))


def _read_pixels(
    network: RegionFeatures, images: UInt8[np.ndarray, "num_images side side 3"], _: int, rows: np.ndarray
) -> dict[str, Array]:
    return _read_images(network, jnp.asarray(images[rows]))


@jax.jit
def _read_images(network: RegionFeatures, images: Array) -> dict[str, Array]:
    return network(from_pixels(images))


def assembled_classifier(
    network: RegionFeatures, fitted: Sequence[FittedHead], sizes: Mapping[str, int]
) -> LearnedClassifier:
    """The classifier of some heads: one matrix for each region, with zeros for attributes that are not read off it.

    Args:
        network: whose features the heads read.
        fitted: the heads.
        sizes: number of features of each region.
    """

    def column(fit: FittedHead, region: str) -> np.ndarray:
        return fit.weights[region] if region in fit.weights else np.zeros(sizes[region], np.float32)

    weights = {
        region: jnp.asarray(np.stack([column(fit, region) for fit in fitted], axis=1))
        for region in network.names
    }
    return LearnedClassifier(
        features=network,
        weights=weights,
        bias=jnp.asarray([fit.bias for fit in fitted], jnp.float32),
        names=tuple(fit.head.name for fit in fitted),
        units=tuple("log-odds" if fit.head.is_binary else "level" for fit in fitted),
    )
