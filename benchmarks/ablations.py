"""Ablations of learning the axes: what matters, and what does not.

    python -m benchmarks.ablations
    python -m benchmarks.ablations --small --study hidden_width --study num_labels
    python -m benchmarks.ablations --large --sweep-size 16 --json benchmarks/results/ablations_gpu.json

Each study varies one thing and leaves the rest at the defaults of `AxesConfig()` and `fit_pca`. A cell is one setting
with all its seeds, trained by one `learn_axes_sweep` and kept as one JSON file under --out: a run that is killed loses
the cells of one sweep and goes on from the others. Cells are named by their settings, data and device; when the
library itself has changed, take another --out. Everything is measured on one held-out split with one set of probes
(`jaxedit.axes.report`), fitted on all training labels however few of them the axes saw, and with "fresh" probes that
share no label with the axes.
"""

import dataclasses
import functools
import json as json_format
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import typer
from jax import Array
from tqdm import tqdm

from benchmarks.ablation_report import METRICS, Results, draw, fill, print_studies
from benchmarks.common import Rows, environment
from jaxedit.axes import PCA, AttributeAxes, AxesConfig, fit_pca, learn_axes_sweep
from jaxedit.axes.autoencoder import AxisAutoencoder
from jaxedit.axes.leakage import leakage_of_effects
from jaxedit.axes.learning.learn import _split as split_dataset
from jaxedit.axes.learning.training import SWEEPABLE, mean_off_diagonal
from jaxedit.axes.report import fit_probes, held_out_report
from jaxedit.errors import InputError
from jaxedit.evaluation.disentanglement import dci, mutual_information_gap, separated_attribute_predictability
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.pretrained.registry import load_labelled_latents
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.download import cache_dir

CLOSED_FORM = {"num_steps": 1, "num_epochs": None, "learning_rate": 1e-12, "input_noise": 0.0}
"""One step of no length: what the linear path is before any training."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One setting: the configuration without its seed, the data it gets, and the seeds.

    Attributes:
        config: its seed is 0.
        num_components: k of the PCA.
        num_labels: how many labels of the training split it sees.
        seeds: of initial weights and batches.
    """

    config: AxesConfig
    num_components: int
    num_labels: int
    seeds: tuple[int, ...]


class Point(NamedTuple):
    """A cell as a row of a study."""

    label: str
    cell: Cell


class Study(NamedTuple):
    """Cells that differ in one thing."""

    title: str
    points: list[Point]


VALUES: dict[str, dict[str, list[Any]]] = {
    "small": {
        "num_components": [60],
        "num_layers": [2],
        "hidden_width": [64],
        "attribute_weight": [1e-3],
        "decorrelation_weight": [0.0],
        "linear_damping": [0.0],
        "input_noise": [0.0],
        "num_labels": [1024],
        "split_seed": [1],
    },
    "default": {
        "num_components": [60, 100, 200, 300],
        "num_layers": [1, 2, 3, 4],
        "hidden_width": [64, 256, 512],
        "attribute_weight": [1e-4, 1e-3, 1e-2, 1e-1],
        "decorrelation_weight": [0.0, 1e-4, 1e-3, 1e-2],
        "linear_damping": [0.0, 0.1, 0.3, 1.0],
        "input_noise": [0.0, 0.5, 1.0, 2.0],
        "num_labels": [512, 1024, 2048],
        "split_seed": [0, 1, 2],
    },
    "large": {
        "num_components": [25, 40, 60, 80, 100, 150, 200, 300, 400, 512],
        "num_layers": [1, 2, 3, 4, 6, 8],
        "hidden_width": [32, 64, 128, 256, 512, 1024],
        "attribute_weight": [1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0],
        "decorrelation_weight": [0.0, 1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 1e-1],
        "linear_damping": [0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 3.0],
        "input_noise": [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0],
        "num_labels": [384, 512, 768, 1024, 1536, 2048, 3072, 4096],
        "split_seed": [0, 1, 2, 3, 4],
    },
}
"""The grids. The default's own value is always among them, wherever it lies."""

SEEDS = {"small": 2, "default": 3, "large": 5}


def studies(
    size: str, base: AxesConfig, knee: int, num_training: int, num_attributes: int, num_seeds: int
) -> dict[str, Study]:
    """The studies of a grid, by name, around the default.

    Args:
        size: "small", "default" or "large".
        base: the default configuration.
        knee: the default number of components.
        num_training: labels of the training split.
        num_attributes: the least number of components.
        num_seeds: seeds of each cell.
    """
    values, seeds = VALUES[size], tuple(range(num_seeds))
    default = Cell(base, knee, num_training, seeds)

    def vary(**changes: Any) -> Cell:
        return dataclasses.replace(default, config=dataclasses.replace(base, **changes))

    def closed(cell: Cell, **changes: Any) -> Cell:
        """No randomness is left, so one seed."""
        config = dataclasses.replace(cell.config, **(CLOSED_FORM | changes))
        return dataclasses.replace(cell, config=config, seeds=(0,))

    def numbers(name: str, own: float) -> list[Any]:
        return sorted({*values[name], own})

    found: dict[str, Study] = {}
    components = [k for k in numbers("num_components", knee) if k >= num_attributes]
    found["num_components"] = Study(
        "components k", [Point(f"{k}", dataclasses.replace(default, num_components=k)) for k in components]
    )
    for name, title in (
        ("num_layers", "layers"),
        ("hidden_width", "hidden width"),
        ("attribute_weight", "attribute weight"),
        ("linear_damping", "damping δ"),
        ("input_noise", "input noise"),
    ):
        own = numbers(name, getattr(base, name))
        found[name] = Study(title, [Point(f"{value:g}", vary(**{name: value})) for value in own])
    weights = numbers("decorrelation_weight", base.decorrelation_weight)
    other = "identity" if base.decorrelation_target == "natural" else "natural"
    for name, target in (
        ("decorrelation_weight", base.decorrelation_target),
        ("decorrelation_weight_other_target", other),
    ):
        # Without weight the target does not matter.
        points = [
            Point(
                f"{weight:g}",
                vary(decorrelation_weight=weight, decorrelation_target=target)
                if weight
                else vary(decorrelation_weight=0.0),
            )
            for weight in weights
        ]
        found[name] = Study(f"decorrelation weight, {target} target", points)
    fewer = [
        (f"{n}", dataclasses.replace(default, num_labels=n))
        for n in numbers("num_labels", num_training)
        if base.batch_size <= n <= num_training
    ]
    found["num_labels"] = Study("labels", [Point(n, cell) for n, cell in fewer])
    found["num_labels_closed_form"] = Study(
        "labels, linear path alone", [Point(n, closed(cell)) for n, cell in fewer]
    )
    found["parts"] = Study(
        "parts",
        [
            Point("linear path + network", default),
            Point("linear path alone", closed(default)),
            Point("linear path alone, δ = 0", closed(default, linear_damping=0.0)),
            Point("network alone", vary(linear_path=False, input_noise=0.0)),
        ],
    )
    found["split_seed"] = Study(
        "held-out split", [Point(f"{s}", vary(split_seed=s)) for s in numbers("split_seed", base.split_seed)]
    )
    if size != "small":
        paper_seeds = seeds if size == "large" else (0,)
        published = AxesConfig.paper(split_seed=base.split_seed)
        heavier = dataclasses.replace(
            published, attribute_weight=base.attribute_weight, decorrelation_weight=base.decorrelation_weight
        )
        found["recipe"] = Study(
            "recipe",
            [
                Point("default", default),
                Point("published", Cell(published, 60, num_training, paper_seeds)),
                Point("published, default loss weights", Cell(heavier, 60, num_training, paper_seeds)),
            ],
        )
    return found


class Reference(NamedTuple):
    """What every cell of one held-out split is measured with, in PCA coordinates.

    Attributes:
        training: all training latents.
        labels: their quantile-transformed labels.
        held_out: latents that no axes are learnt from.
        held_out_labels: their labels, quantile-transformed alike.
        probes: fitted on the training split, as in `AxesReport`.
        fresh_probes: fitted on the held-out split: they share no label with the axes, whose own errors the others
            have too.
        explained_variance: λ of the PCA.
    """

    training: Array
    labels: Array
    held_out: Array
    held_out_labels: Array
    probes: Array
    fresh_probes: Array
    explained_variance: Array

    @classmethod
    def of(cls, dataset: LabelledLatents, pca: PCA, config: AxesConfig) -> "Reference":
        """From the split of this configuration, with all its training labels."""
        split = split_dataset(dataset, pca, config)
        training, held_out = split.w_pca, split.held_out_w_pca
        labels, held_out_labels = split.data.labels, split.data.held_out_labels
        variance = pca.explained_variance
        probes, fresh = (
            fit_probes(training, labels, variance),
            fit_probes(held_out, held_out_labels, variance),
        )
        return cls(training, labels, held_out, held_out_labels, probes, fresh, variance)


@functools.partial(jax.jit, static_argnames="k")
def _measure(
    autoencoder: AxisAutoencoder, reference: Reference, k: int
) -> tuple[Array, dict[str, Array | np.ndarray]]:
    """The held-out codes, and what needs the networks."""
    with jax.default_matmul_precision("highest"):
        report = held_out_report(
            autoencoder, reference.held_out, reference.held_out_labels, reference.probes, k
        )
        codes = autoencoder.encode(reference.held_out[:, :k])
        variance = reference.explained_variance[:k]
        whitener = jnp.where(variance > 0, 1 / jnp.sqrt(jnp.where(variance > 0, variance, 1.0)), 0.0)

        def effect(i: Array) -> tuple[Array, Array]:
            """What an edit by one changes to fresh probes, and its length in whitened coordinates."""
            move = jax.nn.one_hot(i, k)
            change = 0.5 * (autoencoder.decode(codes + move) - autoencoder.decode(codes - move))
            return change.mean(0) @ reference.fresh_probes[:k], jnp.linalg.norm(
                change * whitener, axis=1
            ).mean()

        effects, lengths = jax.lax.map(effect, jnp.arange(reference.labels.shape[1]))
        own = jnp.diagonal(effects)
    return codes, {
        "axis_label_correlation": report.axis_label_correlation.mean(),
        "code_correlation": report.code_correlation,
        "attribute_code_correlation": report.attribute_code_correlation,
        "leakage": report.leakage.mean(),
        "fresh_leakage": leakage_of_effects(effects).mean(),
        "effect": own.mean(),
        "move_length": (lengths / jnp.abs(own)).mean(),
        "reconstruction_error": report.reconstruction_error,
    }


SCORES = ("disentanglement", "completeness", "informativeness", "mig", "sap")


def scores(codes: Array | np.ndarray, labels: Array | np.ndarray) -> dict[str, float]:
    """DCI, with regressions on the first half and informativeness on the second, MIG and SAP."""
    middle = len(codes) // 2
    found = dci(codes[:middle], labels[:middle], codes[middle:], labels[middle:])
    gaps = mutual_information_gap(codes, labels), separated_attribute_predictability(codes, labels)
    return dict(zip(SCORES, map(float, [*found[:3], *gaps]), strict=True))


def measure(axes: AttributeAxes, reference: Reference) -> dict[str, float]:
    """All metrics of one training but its seconds."""
    codes, found = _measure(axes.autoencoder, reference, axes.pca.num_components)
    numbers = {name: float(value) for name, value in found.items()}
    if not np.isfinite(np.asarray(codes)).all():  # a training that diverged
        return numbers | dict.fromkeys(SCORES, float("nan"))
    return numbers | scores(codes, reference.held_out_labels)


def references(reference: Reference, k: int) -> Rows:
    """What the scores are for codes that need no training.

    The labels themselves; the labels decorrelated, c = Σ^−½ y with Σ their correlations, so that y = Σ^½ c and a move
    of one axis takes all correlated attributes along; principal components. Noise fills up the k columns.
    """
    labels = np.asarray(reference.held_out_labels)
    labels = (labels - labels.mean(0)) / labels.std(0)
    noise = np.random.RandomState(0).randn(len(labels), k - labels.shape[1]).astype(np.float32)
    correlations = np.corrcoef(labels.T)
    values, vectors = np.linalg.eigh(correlations)
    root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))

    def row(label: str, codes: np.ndarray, effects: np.ndarray) -> dict[str, Any]:
        known = {
            "axis_label_correlation": np.diagonal(np.corrcoef(codes.T, labels.T), len(effects)).mean(),
            "attribute_code_correlation": mean_off_diagonal(jnp.asarray(np.corrcoef(codes.T))),
            "fresh_leakage": leakage_of_effects(effects.astype(np.float32)).mean(),
        }
        every = np.hstack([codes, noise]).astype(np.float32)
        return (
            {"label": label} | {name: float(value) for name, value in known.items()} | scores(every, labels)
        )

    return [
        row("labels", labels, np.eye(labels.shape[1])),
        row("labels, decorrelated", labels @ inverse, root),
        {"label": "principal components"} | scores(reference.held_out[:, :k], labels),
    ]


@functools.cache
def _compiling() -> list[float]:
    """The seconds of each tracing and compiling of this process, from the first call on."""
    seconds: list[float] = []

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.startswith("/jax/core/compile/"):
            seconds.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    return seconds


def _program_key(cell: Cell) -> tuple[Any, ...]:
    """Cells of one key can be trained by one sweep."""
    fixed = {n: v for n, v in dataclasses.asdict(cell.config).items() if n not in SWEEPABLE}
    return cell.num_components, cell.num_labels, tuple(sorted(fixed.items(), key=str))


def train(
    dataset: LabelledLatents, pca: PCA, cells: Sequence[Cell], reference: Reference
) -> list[list[dict[str, float]]]:
    """Train cells of one program in one sweep; the metrics of each cell's runs."""
    first = cells[0]
    # The training split of a larger held-out fraction is a part of the default's: the order is that of the split
    # seed alone. So few labels are the first of many.
    fraction = first.config.held_out_fraction
    if first.num_labels < len(reference.labels):
        fraction = 1 - first.num_labels / len(dataset)
    configs = [
        dataclasses.replace(cell.config, seed=seed, held_out_fraction=fraction)
        for cell in cells
        for seed in cell.seeds
    ]
    compiling = sum(_compiling())
    start = time.perf_counter()
    learnt = learn_axes_sweep(dataset, pca.with_num_components(first.num_components), configs, progress=False)
    seconds = (time.perf_counter() - start - (sum(_compiling()) - compiling)) / len(configs)
    runs = iter(
        [
            {"seed": axes.config.seed} | measure(axes, reference) | {"seconds": max(seconds, 0.0)}
            for axes in learnt
        ]
    )
    return [[next(runs) for _ in cell.seeds] for cell in cells]


def _identity(cell: Cell, checksum: int) -> dict[str, Any]:
    machine = environment()
    return json_format.loads(
        json_format.dumps(
            {
                "settings": dataclasses.asdict(cell),
                "metrics": list(METRICS),
                "dataset": checksum,
                "device": machine["device"],
                "jaxedit": machine["jaxedit"],
            }
        )
    )


def _cell_path(folder: Path, identity: dict[str, Any]) -> Path:
    return folder / f"cell-{zlib.crc32(json_format.dumps(identity, sort_keys=True).encode()):08x}.json"


def _read_cell(folder: Path, identity: dict[str, Any]) -> list[dict[str, float]] | None:
    """The runs of a finished cell, or None. Files are written whole, so one that does not parse is not ours."""
    path = _cell_path(folder, identity)
    if not path.exists():
        return None
    try:
        found = json_format.loads(path.read_text())
        return found["runs"] if found["identity"] == identity else None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: expected a cell of ablations, it is damaged ({error}); remove it"
        ) from error


def run(
    dataset: LabelledLatents,
    plan: dict[str, Study],
    pca: PCA,
    base: AxesConfig,
    folder: Path,
    *,
    sweep_size: int = 1,
    progress: bool = True,
) -> Results:
    """Train what is missing in the folder, and summarize all studies.

    Args:
        dataset: latents and labels.
        plan: of `studies`.
        pca: of the latents, with the default number of components.
        base: the default configuration.
        folder: of the cells.
        sweep_size: how many cells one sweep may train at once; a killed run loses those.
        progress: whether to show a bar.
    """
    checksum = zlib.crc32(np.asarray(dataset.values, np.float32).tobytes())
    checksum = zlib.crc32(np.asarray(dataset.w, np.float32).tobytes(), checksum)
    cells = list(dict.fromkeys(point.cell for study in plan.values() for point in study.points))
    identities = {cell: _identity(cell, checksum) for cell in cells}
    done = {cell: _read_cell(folder, identities[cell]) for cell in cells}
    missing: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        if done[cell] is None:
            missing.setdefault(_program_key(cell), []).append(cell)

    @functools.cache
    def reference(split_seed: int) -> Reference:
        return Reference.of(dataset, pca, dataclasses.replace(base, split_seed=split_seed))

    total = sum(len(cell.seeds) for cell in cells)
    with tqdm(total=total, desc="ablations", unit="training", disable=not progress) as bar:
        bar.update(sum(len(runs) for runs in done.values() if runs is not None))
        for group in missing.values():
            for start in range(0, len(group), sweep_size):
                batch = group[start : start + sweep_size]
                for cell, runs in zip(
                    batch, train(dataset, pca, batch, reference(batch[0].config.split_seed)), strict=True
                ):
                    content = {"identity": identities[cell], "date": environment()["date"], "runs": runs}
                    text = json_format.dumps(content, indent=1) + "\n"
                    write_atomically(_cell_path(folder, identities[cell]), text.encode())
                    done[cell] = runs
                    bar.update(len(runs))
    own_reference = reference(base.split_seed)
    default = {
        "num_components": pca.num_components,
        "num_training": len(own_reference.labels),
        "num_held_out": len(own_reference.held_out_labels),
        "num_attributes": own_reference.labels.shape[1],
        "config": dataclasses.asdict(base),
    }
    default_cell = dataclasses.replace(
        cells[0], config=base, num_components=pca.num_components, num_labels=len(own_reference.labels)
    )
    rows = {
        name: [_row(point, done[point.cell] or [], default_cell) for point in study.points]
        for name, study in plan.items()
    }
    rows["references"] = references(own_reference, pca.num_components)
    titles = {name: study.title for name, study in plan.items()} | {"references": "codes without training"}
    return Results(environment("optax"), default, titles, rows)


def _row(point: Point, runs: list[dict[str, float]], default: Cell) -> dict[str, Any]:
    """Mean and standard deviation (of the sample) over the seeds."""
    row: dict[str, Any] = {
        "label": point.label,
        "default": dataclasses.replace(point.cell, seeds=default.seeds) == default,
        "runs": len(runs),
    }
    for metric in METRICS:
        values = [one[metric] for one in runs]
        row[metric] = float(np.mean(values))
        row[f"{metric} sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return row


def main(
    small: Annotated[
        bool, typer.Option("--small", help="a tiny grid of short trainings, to try it out")
    ] = False,
    large: Annotated[
        bool, typer.Option("--large", help="a finer grid, five seeds: for accelerators")
    ] = False,
    study: Annotated[
        list[str] | None, typer.Option(help="this study only (repeatable); by default all")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="of each cell; by default 3 (2 small, 5 large)")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="of each training, instead of the default's")
    ] = None,
    labels: Annotated[
        str, typer.Option(help="a known generator, or a file or folder of labels")
    ] = "mobile-stylegan-ffhq",
    out: Annotated[
        Path | None, typer.Option(help="folder of the finished cells; by default one in the cache")
    ] = None,
    sweep_size: Annotated[
        int | None, typer.Option(min=1, help="cells of one sweep; by default 1 on a CPU, 16 on others")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="also write the numbers here")] = None,
    figure: Annotated[Path | None, typer.Option(help="also draw the studies into this PNG")] = None,
    page: Annotated[
        Path | None, typer.Option(help="also renew the tables and numbers between the markers of this page")
    ] = None,
) -> None:
    """Train the grid, print its tables, and write numbers, figure and page.

    Examples:

        python -m benchmarks.ablations --json benchmarks/results/ablations_cpu.json --figure docs/images/ablations.png
        --page docs/ablations.md

        python -m benchmarks.ablations --small --study linear_damping --out /tmp/try

        python -m benchmarks.ablations --large --out ablations-gpu --json benchmarks/results/ablations_gpu.json
    """
    if small and large:
        raise typer.BadParameter("--small and --large: expected one of them")
    size = "small" if small else "large" if large else "default"
    base = AxesConfig()
    steps = 100 if small and steps is None else steps
    if steps is not None:
        base = dataclasses.replace(base, num_steps=steps, num_epochs=None)
    dataset = load_labelled_latents(labels)
    pca = fit_pca(jnp.asarray(dataset.w))
    num_training = len(dataset) - round(base.held_out_fraction * len(dataset))
    num_attributes = len(dataset.attribute_names)
    plan = studies(size, base, pca.num_components, num_training, num_attributes, seeds or SEEDS[size])
    unknown = sorted(set(study or ()) - set(plan))
    if unknown:
        raise typer.BadParameter(f"--study {unknown[0]}: expected one of {', '.join(plan)}")
    if study:
        plan = {name: plan[name] for name in plan if name in study}
    if sweep_size is None:
        sweep_size = 1 if jax.devices()[0].platform == "cpu" else 16
    folder = cache_dir() / "ablations" if out is None else out
    results = run(dataset, plan, pca, base, folder, sweep_size=sweep_size)
    print_studies(results)
    if json is not None:
        write_atomically(json, results.to_json().encode())
    if figure is not None:
        draw(results, figure)
    if page is not None:
        write_atomically(page, fill(page.read_text(), results).encode())


if __name__ == "__main__":
    typer.run(main)
