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
from jaxedit.attributes.learned.heads import FittedHead, Head, Kernels, fit_head
from jaxedit.attributes.learned.regions import FACE_REGIONS, IMAGE, Region, RegionFeatures
from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator, weights_fingerprint
from jaxedit.nn.lpips import LPIPS
from jaxedit.storage.runs import RunFolder

REGIONS: dict[str, tuple[Region, ...]] = {"image": (IMAGE,), "face": FACE_REGIONS}
"""Sets of regions by name: the whole image of anything; the parts of a face in images aligned as FFHQ is."""


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """How a classifier is learned.

    Attributes:
        regions: "image" for images of anything, "face" for faces aligned as FFHQ is.
        batch_size: images at once: 8 suits a CPU, 64 an accelerator.
        unit_size: images of a unit of work. An interrupted run loses one at most.
        seed: of the folds of the cross-validation.

    Raises:
        InputError: if a setting is out of range.
    """

    regions: Literal["image", "face"] = "image"
    batch_size: int = 8
    unit_size: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if self.regions not in REGIONS:
            raise InputError(f"regions: expected one of {', '.join(REGIONS)}, got {self.regions!r}")
        for name in ("batch_size", "unit_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, got {getattr(self, name)}")


@dataclasses.dataclass(frozen=True)
class Marks:
    """What somebody saw in the images of some latents.

    Attributes:
        w: latents of W or W+.
        values: one column for each attribute; NaN where it is unknown.
        attribute_names: names of the columns. A column of 0 and 1 alone is an attribute that is there or not; any other
            is graded.

    Raises:
        InputError: if shapes and names disagree.
    """

    w: Float[np.ndarray, "num_images ..."]
    values: Float[np.ndarray, "num_images num_attributes"]
    attribute_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.w), len(self.attribute_names)):
            raise InputError(
                f"values: expected a row for each of {len(self.w)} latents and a column for each of "
                f"{len(self.attribute_names)} attributes, got {list(self.values.shape)}"
            )
        if len(set(self.attribute_names)) < len(self.attribute_names):
            raise InputError(f"attribute_names: expected each once, got {', '.join(self.attribute_names)}")


def learn_classifier(
    generator: Generator,
    marks: Marks,
    config: ClassifierConfig | None = None,
    *,
    out: str | Path | None = None,
    progress: bool = True,
) -> tuple[LearnedClassifier, tuple[Head, ...]]:
    """Learn a classifier from marked images.

    Args:
        generator: whose images were marked.
        marks: latents and marks. Two hundred images are a start; rare attributes need more (see the report).
        config: settings.
        out: folder of the run, which resumes when it was interrupted; holds the features. None keeps nothing.
        progress: whether to show a bar.

    Returns:
        The classifier, and for each attribute how well it was learned, on images that the fit had not seen. Values are
        log-odds for attributes that are there or not, and levels for graded ones.

    Raises:
        InputError: if an attribute has too few marks, or `out` holds another run.
        DownloadError: if the frozen network cannot be fetched.
        OutputError: if `out` cannot be written.

    Examples:
        >>> import jaxedit
        >>> from jaxedit.labels import ClassifierConfig, Marks
        >>> marks = Marks(w, values, ("hat", "hair_length"))  # doctest: +SKIP
        >>> classifier, heads = jaxedit.learn_classifier(generator, marks, ClassifierConfig("face"))  # doctest: +SKIP
        >>> [(head.name, round(head.quality, 2)) for head in heads]  # doctest: +SKIP
        [('hat', 0.97), ('hair_length', 0.88)]
    """
    config = config or ClassifierConfig()
    network = RegionFeatures(LPIPS.from_pretrained("alex"), REGIONS[config.regions])
    with tempfile.TemporaryDirectory() as temporary:
        request = {
            "generator": weights_fingerprint(generator),
            "latents": weights_fingerprint(jnp.asarray(marks.w)),
            "regions": config.regions,
            "unit_size": config.unit_size,
        }
        run = RunFolder.open(temporary if out is None else out, kind="classifier features", request=request)
        kernels = Kernels(_features(generator, network, marks.w, config, run, progress))
    fitted = _fit_all(kernels, marks, config, progress)
    return _assembled(network, fitted, kernels), tuple(fit.head for fit in fitted)


def _features(
    generator: Generator,
    network: RegionFeatures,
    w: np.ndarray,
    config: ClassifierConfig,
    run: RunFolder,
    progress: bool,
) -> dict[str, Float[np.ndarray, "num_images num_features"]]:
    """The features of all images in half precision, unit by unit."""
    parts = []
    with tqdm(total=len(w), desc="features", unit="image", disable=not progress) as bar:
        for start in range(0, len(w), config.unit_size):
            rows = w[start : start + config.unit_size]

            def make(rows: np.ndarray = rows) -> dict[str, np.ndarray]:
                batches = list(_batches(generator, network, rows, config.batch_size, bar))
                return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}

            found = run.get_or_make(f"features/{start:09d}", make)
            bar.update(start + len(rows) - bar.n)
            parts.append(found)
    return {name: np.concatenate([part[name] for part in parts]) for name in network.names}


def _batches(
    generator: Generator, network: RegionFeatures, w: np.ndarray, batch_size: int, bar: tqdm
) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(w), batch_size):
        rows = np.minimum(np.arange(start, start + batch_size), len(w) - 1)  # the last batch is filled up
        count = min(batch_size, len(w) - start)
        found = _read(generator, network, jnp.asarray(w[rows]))
        yield {name: np.asarray(value[:count], np.float16) for name, value in found.items()}
        bar.update(count)


@jax.jit
def _read(generator: Generator, network: RegionFeatures, w: Array) -> dict[str, Array]:
    return network(generator.synthesis(w))


def _fit_all(kernels: Kernels, marks: Marks, config: ClassifierConfig, progress: bool) -> list[FittedHead]:
    fitted = []
    columns = tqdm(
        list(zip(marks.attribute_names, marks.values.T, strict=True)),
        desc="heads",
        unit="attribute",
        disable=not progress,
    )
    for name, values in columns:
        is_binary = set(np.unique(values[np.isfinite(values)])) <= {0.0, 1.0}
        fitted.append(fit_head(kernels, values, name, is_binary=is_binary, seed=config.seed))
    return fitted


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
