"""Editing methods side by side, at equal change of the target in the image.

    python -m benchmarks.quality.compare_methods --help

The methods are those of `benchmarks/baselines`, all fitted to the same labels. Fitted methods are kept in
`OUT/methods`, the readings of each image in `OUT/evaluation`.
"""

import dataclasses
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
import typer

from benchmarks.baselines import METHODS, TrainingSplit, load_method, prepare, save_method
from benchmarks.baselines.storage import fingerprint
from benchmarks.quality.time_to_axes import keep_seconds, kept_seconds, seconds_of_labeling, time_rows
from benchmarks.reporting import Rows, finish
from jaxedit.attributes.faces.face_attributes import FaceAttributes, FaceIdentity
from jaxedit.attributes.independent.classifiers import (
    INDEPENDENT_COLUMNS,
    IndependentAttributes,
    IndependentIdentity,
)
from jaxedit.axes import AttributeAxes
from jaxedit.errors import InputError, JaxeditError
from jaxedit.evaluation.comparison import evaluate
from jaxedit.evaluation.config import TARGETS, EvaluationConfig
from jaxedit.evaluation.evaluators import Evaluators, IndependentNetworks
from jaxedit.evaluation.methods import AxesMethod, EditingMethod, LinearDirections, load_directions
from jaxedit.evaluation.report.comparison_page import write_page
from jaxedit.evaluation.report.published import main_numbers, save_numbers
from jaxedit.evaluation.results import Evaluation
from jaxedit.generators.protocol import Generator
from jaxedit.latents.seed_stream import sample_z
from jaxedit.pretrained.registry import load_axes, load_generator, load_labelled_latents

_GENERATOR = "mobile-stylegan-ffhq"
_OURS = "jaxedit"


@dataclasses.dataclass(frozen=True)
class MethodChoice:
    """The methods to compare.

    Attributes:
        names: methods of the registry, or "jaxedit" for the default axes.
        axes: folders of axes.
        directions: files of directions.
        rename: names of attributes by the names in those files.
    """

    names: list[str]
    axes: list[Path]
    directions: list[Path]
    rename: dict[str, str]


@dataclasses.dataclass(frozen=True)
class FaceChoice:
    """The faces to evaluate.

    Attributes:
        num_faces: how many.
        seed: of their latents; the labels are of seed 0.
        truncation_psi: truncation.
    """

    num_faces: int
    seed: int
    truncation_psi: float


def fitted(
    name: str, split: TrainingSplit, generator: Generator, out: Path
) -> tuple[EditingMethod, dict[str, Any]]:
    """A method of the registry, fitted now or kept by an earlier run, and a row about it."""
    folder = out / "methods" / f"{name}-{fingerprint(split)}"
    start = time.perf_counter()
    if folder.exists():
        method, how, fit_seconds = load_method(folder, name), "kept", kept_seconds(folder)
    else:
        training = folder.with_name(f"{folder.name}-training")
        # This one takes minutes and can be resumed.
        options = {"checkpoint_dir": training, "progress": True} if name == "paper" else {}
        method, how = METHODS[name](split, generator, **options), "fitted"
        fit_seconds = time.perf_counter() - start
        save_method(method, folder)
        keep_seconds(folder, fit_seconds)
        shutil.rmtree(training, ignore_errors=True)
    row = {"method": name, "how": how, "seconds": time.perf_counter() - start}
    return method, row if fit_seconds is None else row | {"fit_seconds": fit_seconds}


def oriented(method: LinearDirections, split: TrainingSplit) -> LinearDirections:
    """Directions of others with signs such that more is more of the attribute, by the probes of W."""
    directions = np.array(method.directions)
    for i, name in enumerate(method.attribute_names):
        if name in split.attribute_names:
            probe = np.asarray(split.probes[:, split.attribute_names.index(name)])
            mean = directions[i] if directions.ndim == 2 else directions[i].mean(0)
            directions[i] *= -1.0 if mean @ probe < 0 else 1.0
    return dataclasses.replace(method, directions=directions)


def gather(
    choice: MethodChoice, split: TrainingSplit, generator: Generator, out: Path
) -> tuple[list[EditingMethod], Rows]:
    """All methods, and a row about each.

    Raises:
        InputError: if a name is unknown, or two methods have the same one.
    """
    unknown = [name for name in choice.names if name != _OURS and name not in METHODS]
    if unknown:
        known = ", ".join([_OURS, *METHODS])
        raise InputError(f"method {unknown[0]!r}: expected some of {known}")
    methods: list[EditingMethod] = []
    rows: Rows = []
    for name in choice.names:
        if name == _OURS:
            methods.append(AxesMethod(_OURS, load_axes(_GENERATOR)))
            rows.append({"method": name, "how": "default axes", "seconds": 0.0})
        else:
            method, row = fitted(name, split, generator, out)
            methods.append(method)
            rows.append(row)
    for folder in choice.axes:
        methods.append(AxesMethod(folder.resolve().name, AttributeAxes.load(folder)))
        rows.append({"method": methods[-1].name, "how": "given axes", "seconds": 0.0})
    for path in choice.directions:
        methods.append(oriented(load_directions(path, name=path.stem, rename=choice.rename), split))
        rows.append({"method": methods[-1].name, "how": "given directions", "seconds": 0.0})
    all_names = [method.name for method in methods]
    twice = sorted({name for name in all_names if all_names.count(name) > 1})
    if twice or not methods:
        raise InputError(f"methods: expected one or more, each once, got {', '.join(all_names) or 'none'}")
    return methods, rows


def tables(evaluation: Evaluation) -> dict[str, Rows]:
    """The scores: a row for each method and target, and the means over the targets that all methods have."""
    rows: Rows = []
    for (method, attribute), cell in evaluation.cells.items():
        rows.append(
            {
                "method": method,
                "attribute": attribute,
                "down": cell.target_change[0].value,
                "up": cell.target_change[1].value,
                "reached": "both"
                if all(cell.reached)
                else "up"
                if cell.reached[1]
                else "down"
                if any(cell.reached)
                else "no",
                "leakage": cell.leakage.value,
                "low": cell.leakage.low,
                "high": cell.leakage.high,
                "absolute": cell.absolute_leakage.value,
                **{name: estimate.value for name, estimate in cell.identity.items()},
                "monotone": cell.monotone_share.value,
                "TCR": cell.rates.target_change.value,
                "APR": cell.rates.attribute_preservation.value,
                **{f"IPS by {name}": score.value for name, score in cell.rates.identity_preservation.items()},
                **{
                    f"leakage by {name}": np.nan if scores.leakage is None else scores.leakage.value
                    for name, scores in cell.independent.items()
                },
                **(
                    {"years off": cell.calibration.mean_absolute_error.value}
                    if cell.calibration and attribute == "age"
                    else {}
                ),
            }
        )
    shared = evaluation.shared_targets()
    means: Rows = []
    for method in evaluation.methods if shared else ():
        leakage = evaluation.mean(method, "leakage")
        identity = [next(iter(evaluation.cells[method, a].identity.values())).value for a in shared]
        means.append(
            {
                "method": method,
                "leakage": leakage.value,
                "low": leakage.low,
                "high": leakage.high,
                "absolute": evaluation.mean(method, "absolute_leakage").value,
                "identity": float(np.mean(identity)),
                "monotone": evaluation.mean(method, "monotone_share").value,
                **_mean_rates(evaluation, method, shared),
            }
        )
    means.sort(key=lambda row: row["leakage"])
    title = f"{evaluation.request.num_faces} faces, equal change of ±{evaluation.request.change:g} σ"
    found = {title: rows, f"means over {', '.join(shared)}": means}
    codes = evaluation.codes
    if codes is not None:
        head = f"codes of {', '.join(codes.attributes)}"
        found[head] = [{"codes": name, **scores} for name, scores in codes.rows.items()]
    return found


def _mean_rates(evaluation: Evaluation, method: str, targets: Sequence[str]) -> dict[str, float]:
    """Change rates, mean over targets; identity by the first network."""
    rates = [evaluation.cells[method, target].rates for target in targets]
    identity = [next(iter(found.identity_preservation.values()), None) for found in rates]
    scores = [score.value for score in identity if score is not None]
    return {
        "TCR": float(np.mean([found.target_change.value for found in rates])),
        "APR": float(np.mean([found.attribute_preservation.value for found in rates])),
        **({"IPS": float(np.mean(scores))} if scores else {}),
    }


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _renamed(pairs: list[str]) -> dict[str, str]:
    bad = [pair for pair in pairs if pair.count("=") != 1]
    if bad:
        raise InputError(f"rename: expected OLD=NEW, got {bad[0]!r}")
    return {old.strip(): new.strip() for old, new in (pair.split("=") for pair in pairs)}


def run(
    out: Path,
    choice: MethodChoice,
    faces: FaceChoice,
    config: EvaluationConfig,
    *,
    labels: str = _GENERATOR,
    independent: bool = False,
    fit_only: bool = False,
    numbers: Path | None = None,
) -> dict[str, Rows]:
    """Fit the methods, evaluate them, and make the tables.

    Args:
        out: folder of fitted methods and readings.
        choice: the methods.
        faces: the faces.
        config: settings of the evaluation.
        labels: labels to fit to: a known generator, a file or a folder.
        independent: whether independent networks read the images too.
        fit_only: whether to stop after fitting.
        numbers: file for the main numbers.
    """
    generator = load_generator(_GENERATOR)
    dataset = load_labelled_latents(labels, generator)
    split = prepare(dataset)
    methods, rows = gather(choice, split, generator, out)
    classifier = FaceAttributes()
    seconds = seconds_of_labeling(generator, classifier, np.asarray(dataset.w), batch_size=config.batch_size)
    results = {"methods": rows, "time to axes": time_rows(rows, len(dataset), seconds)}
    if fit_only:
        return results
    identity: dict[str, Any] = {"face-api": FaceIdentity()}
    networks = {}
    if independent:
        identity["mobileface"] = IndependentIdentity("mobileface")
        networks["independent"] = IndependentNetworks(IndependentAttributes(INDEPENDENT_COLUMNS))
    z = jnp.asarray(sample_z(faces.seed, faces.num_faces, generator.z_dim))
    evaluation = evaluate(
        generator,
        methods,
        generator.mapping(z, truncation_psi=faces.truncation_psi),
        Evaluators(classifier, dataset, networks, identity),
        config,
        out=out / "evaluation",
    )
    write_page(evaluation)
    if numbers is not None:
        content = main_numbers(evaluation, truncation_psi=faces.truncation_psi, seed=faces.seed)
        save_numbers(content, numbers)
    return results | tables(evaluation)


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main(
    out: Annotated[Path, typer.Option(help="folder of fitted methods and readings")],
    faces: Annotated[
        int, typer.Option(help="how many; each is rendered twice for each method and attribute")
    ] = 200,
    pilot: Annotated[int, typer.Option(help="how many of them are rendered at all amounts")] = 24,
    methods: Annotated[str, typer.Option(help="names, with commas between")] = ",".join([_OURS, *METHODS]),
    attributes: Annotated[str, typer.Option(help="targets, with commas between")] = ",".join(TARGETS),
    axes: Annotated[list[Path] | None, typer.Option(help="folder of axes; may be repeated")] = None,
    directions: Annotated[list[Path] | None, typer.Option(help=".npz of directions; may be repeated")] = None,
    rename: Annotated[
        list[str] | None, typer.Option(help="OLD=NEW: names in --directions; may be repeated")
    ] = None,
    labels: Annotated[
        str, typer.Option(help="labels to fit to: a known generator, a file or a folder")
    ] = _GENERATOR,
    change: Annotated[float, typer.Option(help="of the target, in standard deviations")] = 1.0,
    truncation_psi: Annotated[float, typer.Option(help="of the faces")] = 0.7,
    seed: Annotated[int, typer.Option(help="of the faces; the labels are of seed 0")] = 99,
    batch_size: Annotated[int, typer.Option(help="images at once: 32 and more on an accelerator")] = 4,
    independent: Annotated[
        bool,
        typer.Option(
            "--independent/--no-independent", help="measure by networks too that no method has learned from"
        ),
    ] = False,
    fit_only: Annotated[bool, typer.Option("--fit-only", help="fit the methods and render nothing")] = False,
    numbers: Annotated[
        Path | None,
        typer.Option(help="also write the main numbers here, in the form that ships with a generator"),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="also write the numbers here")] = None,
) -> None:
    """Editing methods side by side, at equal change of the target in the image.

    \b
    python -m benchmarks.quality.compare_methods --out comparison --faces 200
    python -m benchmarks.quality.compare_methods --out comparison --faces 200 --methods jaxedit,interfacegan,whitened
    python -m benchmarks.quality.compare_methods --out new --axes my-axes --directions other.npz --rename pose=yaw
    python -m benchmarks.quality.compare_methods --out small --faces 8 --pilot 4 --attributes smile --methods covariance
    python -m benchmarks.quality.compare_methods --out comparison --fit-only

    Methods are fitted to the shipped labels of the default generator, or to --labels. "jaxedit" are the default axes.
    The faces are of another seed. Interrupted runs resume: start the script again with the same --out.
    """
    try:
        results = run(
            out,
            MethodChoice(_listed(methods), axes or [], directions or [], _renamed(rename or [])),
            FaceChoice(faces, seed, truncation_psi),
            EvaluationConfig(
                targets=_listed(attributes),
                change=change,
                pilot=pilot,
                batch_size=batch_size,
                generator_name=_GENERATOR,
            ),
            labels=labels,
            independent=independent,
            fit_only=fit_only,
            numbers=numbers,
        )
    except JaxeditError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    finish("compare methods", results, json, ["optax"])


if __name__ == "__main__":
    app()
