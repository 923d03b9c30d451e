"""Ablations of learning the axes: the effect of each setting on held-out metrics.

    python -m benchmarks.quality.ablations
    python -m benchmarks.quality.ablations --small --study hidden_width --study num_labels
    python -m benchmarks.quality.ablations --large --sweep-size 16 --json benchmarks/results/ablations_gpu.json

Each study varies one setting; the others keep the defaults of `AxesConfig()` and `fit_pca`. A cell is one configuration
with all its seeds, trained in one `learn_axes_sweep` and kept as one JSON file in --out. Interrupted runs resume and
repeat at most one sweep. The settings, data and device identify a cell; after a change of the library, choose another
--out. All metrics use one held-out split and the same probes (`jaxedit.axes.report`), fitted on all training labels,
also where the axes use fewer. "Fresh" probes share no labels with the axes.
"""

import dataclasses
import functools
import json as json_format
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer
from tqdm import tqdm

from benchmarks.quality.ablation_metrics import Reference, measure, references
from benchmarks.quality.ablation_report import METRICS, Results, draw, fill, print_studies
from benchmarks.quality.ablation_studies import SEEDS, Cell, Point, Study, studies
from benchmarks.reporting import environment
from jaxedit.axes import PCA, AxesConfig, fit_pca, learn_axes_sweep
from jaxedit.axes.learning.training import SWEEPABLE
from jaxedit.errors import InputError
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.pretrained.registry import load_labelled_latents
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.download import cache_dir


@functools.cache
def _compiling() -> list[float]:
    """Seconds of each tracing and compilation in this process, recorded from the first call on."""
    seconds: list[float] = []

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.startswith("/jax/core/compile/"):
            seconds.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    return seconds


def _program_key(cell: Cell) -> tuple[Any, ...]:
    """Cells with the same key can be trained in one sweep."""
    fixed = {n: v for n, v in dataclasses.asdict(cell.config).items() if n not in SWEEPABLE}
    return cell.num_components, cell.num_labels, tuple(sorted(fixed.items(), key=str))


def train(
    dataset: LabelledLatents, pca: PCA, cells: Sequence[Cell], reference: Reference
) -> list[list[dict[str, float]]]:
    """Train cells in one sweep.

    Args:
        dataset: labeled latents.
        pca: PCA of the latents, with at least as many components as the cells.
        cells: cells with the same program.
        reference: data and probes of the metrics.

    Returns:
        Metrics of each cell, one dictionary per seed.
    """
    first = cells[0]
    # The split seed alone orders the samples. The training split of a larger held-out fraction is therefore the
    # beginning of the default training split.
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
    learned = learn_axes_sweep(
        dataset, pca.with_num_components(first.num_components), configs, progress=False
    )
    seconds = (time.perf_counter() - start - (sum(_compiling()) - compiling)) / len(configs)
    runs = iter(
        [
            {"seed": axes.config.seed} | measure(axes, reference) | {"seconds": max(seconds, 0.0)}
            for axes in learned
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
    """The runs of a finished cell, or None.

    Raises:
        InputError: if the file is damaged. Cells are written atomically, so an interrupted run leaves no such file.
    """
    path = _cell_path(folder, identity)
    if not path.exists():
        return None
    try:
        found = json_format.loads(path.read_text())
        return found["runs"] if found["identity"] == identity else None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: expected a cell of ablations, found a damaged file ({error}); remove it"
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
    """Train the cells that are missing in the folder, and summarize all studies.

    Args:
        dataset: labeled latents.
        plan: studies by name, from `studies`.
        pca: PCA of the latents, with the default number of components.
        base: default configuration.
        folder: folder of finished cells.
        sweep_size: largest number of cells in one sweep. An interrupted run repeats them.
        progress: whether to show a progress bar.
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
    """Mean and sample standard deviation of each metric over the seeds."""
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
        bool, typer.Option("--small", help="a tiny grid of short trainings, to try the script")
    ] = False,
    large: Annotated[
        bool, typer.Option("--large", help="a finer grid with five seeds, for accelerators")
    ] = False,
    study: Annotated[
        list[str] | None, typer.Option(help="a study to run; may be repeated; by default all")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="seeds of each cell; by default 3 (2 small, 5 large)")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="steps of each training, instead of the default")
    ] = None,
    labels: Annotated[
        str, typer.Option(help="a known generator, or a file or folder of labels")
    ] = "mobile-stylegan-ffhq",
    out: Annotated[
        Path | None, typer.Option(help="folder of finished cells; by default in the cache")
    ] = None,
    sweep_size: Annotated[
        int | None, typer.Option(min=1, help="cells in one sweep; by default 1 on a CPU, 16 otherwise")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="JSON file for the numbers")] = None,
    figure: Annotated[Path | None, typer.Option(help="PNG file for the figure")] = None,
    page: Annotated[
        Path | None, typer.Option(help="page whose tables and numbers are filled in between its markers")
    ] = None,
) -> None:
    """Train the cells of a grid, print the tables, and write numbers, figure and page.

    Examples:

        python -m benchmarks.quality.ablations --json benchmarks/results/ablations_cpu.json
        --figure docs/images/ablations.png --page docs/ablations.md

        python -m benchmarks.quality.ablations --small --study linear_damping --out /tmp/try

        python -m benchmarks.quality.ablations --large --out ablations-gpu --json benchmarks/results/ablations_gpu.json
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
