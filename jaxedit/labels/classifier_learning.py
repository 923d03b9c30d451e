"""A classifier learned from marks: images of some latents, what somebody saw in them, and frozen features.

Marks of a few hundred images are enough, since the features see already: only a linear head is learned (see
`jaxedit.attributes.learned.heads`). The classifier then labels as many latents as axes need.
"""

import dataclasses
import functools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm.auto import tqdm

from jaxedit.attributes.learned.classifier import LearnedClassifier
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
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.latents.renders import Render, cheap_render, full_render
from jaxedit.nn.lpips import LPIPS
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
        previews: whether every second batch are previews, where the generator has them: curves are learned through
            previews, and a classifier that has not seen any reads them less well. Not with "fine-face".
        batch_size: images at once: 8 suits a CPU, 64 an accelerator.
        unit_size: images of a unit of work. An interrupted run loses one at most.
        seed: of the folds of the cross-validation.

    Raises:
        InputError: if a setting is out of range.
    """

    regions: Literal["image", "face", "fine-face"] = "image"
    previews: bool = True
    batch_size: int = 8
    unit_size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.regions not in REGIONS:
            raise InputError(f"regions: expected one of {', '.join(REGIONS)}, got {self.regions!r}")
        for name in ("batch_size", "unit_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, got {getattr(self, name)}")


def learn_classifier(
    generator: Generator,
    marks: LabelledLatents,
    config: ClassifierConfig | None = None,
    *,
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
        out: folder of the run, which resumes when it was interrupted; holds the features. None keeps nothing.
        progress: whether to show a bar.

    Returns:
        The classifier, and for each attribute how well it was learned, on images that the fit had not seen. Values are
        log-odds for attributes that are there or not, and levels for graded ones.

    Raises:
        InputError: if an attribute has too few marks, the generator's images are not square RGB, or `out` holds another
            run.
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
    network = RegionFeatures(LPIPS.from_pretrained("alex"), regions, side)
    w, values = np.asarray(marks.w, np.float32), np.asarray(marks.values, np.float64)
    _check_marks(values, marks.attribute_names)
    with tempfile.TemporaryDirectory() as temporary:
        request = {
            "generator": weights_fingerprint(generator),
            "latents": weights_fingerprint(jnp.asarray(w)),
            "regions": config.regions,
            "previews": config.previews,
            "unit_size": config.unit_size,
            "batch_size": config.batch_size,
        }
        run = RunFolder.open(temporary if out is None else out, kind=RUN_KIND, request=request)
        kernels = Kernels(_features(_renders(generator, config), network, w, config, run, progress))
    columns = list(zip(marks.attribute_names, values.T, strict=True))
    fitted = [
        fit_head(kernels, column, name, is_binary=_is_binary(column), seed=config.seed)
        for name, column in tqdm(columns, desc="heads", unit="attribute", disable=not progress)
    ]
    return _assembled(network, fitted, kernels), tuple(fit.head for fit in fitted)


def _is_binary(marks: Float[np.ndarray, " num_images"]) -> bool:
    return set(np.unique(marks[np.isfinite(marks)])) <= {0.0, 1.0}


def _check_marks(values: Float[np.ndarray, "num_images num_attributes"], names: Sequence[str]) -> None:
    for name, column in zip(names, values.T, strict=True):
        check_marks(column[np.isfinite(column)], name, _is_binary(column))


def _renders(generator: Generator, config: ClassifierConfig) -> tuple[Render, ...]:
    """What makes the images, in turn."""
    has_previews = config.previews and config.regions != "fine-face" and isinstance(generator, MobileStyleGAN)
    return (full_render(generator), cheap_render(generator)) if has_previews else (full_render(generator),)


def _features(
    renders: Sequence[Render],
    network: RegionFeatures,
    w: Float[np.ndarray, "num_images w_dim"],
    config: ClassifierConfig,
    run: RunFolder,
    progress: bool,
) -> dict[str, Float[np.ndarray, "num_images num_features"]]:
    """The features of all images in half precision, unit by unit."""
    expected = {name: ArrayOf("f", ("num_rows", f"features of {name}")) for name in network.names}
    parts = []
    with tqdm(total=len(w), desc="features", unit="image", disable=not progress) as bar:
        for start in range(0, len(w), config.unit_size):
            rows = w[start : start + config.unit_size]
            unit = f"features/{start:09d}"
            found = run.read(unit, arrays=expected)
            if found is None or any(len(x) != len(rows) for x in found.values()):
                batches = list(_batches(renders, network, rows, config.batch_size, bar))
                found = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
                run.write(unit, found)
            bar.update(start + len(rows) - bar.n)
            parts.append(found)
    return {name: np.concatenate([part[name] for part in parts]) for name in network.names}


def _batches(
    renders: Sequence[Render],
    network: RegionFeatures,
    w: Float[np.ndarray, "num_images w_dim"],
    batch_size: int,
    bar: tqdm,
) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(w), batch_size):
        rows = np.minimum(np.arange(start, start + batch_size), len(w) - 1)  # the last batch is filled up
        count = min(batch_size, len(w) - start)
        found = _read(renders[start // batch_size % len(renders)], network, jnp.asarray(w[rows]))
        yield {name: np.asarray(value[:count], np.float16) for name, value in found.items()}
        bar.update(count)


@jax.jit
def _read(render: Render, network: RegionFeatures, w: Array) -> dict[str, Array]:
    return network(render(w))


def _assembled(network: RegionFeatures, fitted: Sequence[FittedHead], kernels: Kernels) -> LearnedClassifier:
    """One matrix for each region, with zeros for attributes that are not read off it."""

    def column(fit: FittedHead, region: str) -> np.ndarray:
        zeros = functools.partial(np.zeros, kernels.features[region].shape[1], np.float32)
        return fit.weights[region] if region in fit.weights else zeros()

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
