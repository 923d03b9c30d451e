"""The ablation script on a small dataset, and the page filled in from its numbers."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from benchmarks.quality import ablations
from benchmarks.quality.ablation_report import METRICS, Results, fill, markdown_table
from jaxedit.axes import AxesConfig, fit_pca, learn_axes
from jaxedit.errors import InputError
from jaxedit.labels.dataset import LabelledLatents

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BASE = AxesConfig(num_layers=2, hidden_width=16, num_steps=4, steps_per_chunk=4, batch_size=64)


@pytest.fixture(scope="module")
def dataset() -> LabelledLatents:
    random = np.random.RandomState(0)
    w = (random.randn(400, 12) * np.geomspace(2, 0.2, 12)).astype(np.float32)
    values = w @ random.randn(12, 3) + 0.3 * random.randn(400, 3)
    return LabelledLatents(w, values.astype(np.float32), ("a", "b", "c"), ("", "", ""))


@pytest.fixture(scope="module")
def pca(dataset):
    return fit_pca(dataset.w, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cells")


def plan(base: AxesConfig, *names: str, num_seeds: int = 2) -> dict[str, ablations.Study]:
    found = ablations.studies("small", base, 8, 280, 3, num_seeds)
    return {name: found[name] for name in names}


@pytest.fixture(scope="module")
def results(dataset, pca, folder) -> Results:
    return ablations.run(dataset, plan(BASE, "input_noise"), pca, BASE, folder, progress=False)


def test_help_has_examples():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.quality.ablations", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for text in ("Examples", "--small", "--large", "--json", "--page"):
        assert text in done.stdout


@pytest.mark.parametrize("size", ["small", "default", "large"])
def test_a_study_varies_one_setting(size):
    base = AxesConfig(linear_damping=0.07)
    found = ablations.studies(size, base, 200, 5734, 20, num_seeds=3)
    default = ablations.Cell(base, 200, 5734, (0, 1, 2))
    for name, study in found.items():
        cells = [point.cell for point in study.points]
        assert len({point.label for point in study.points}) == len(cells) >= 2
        if name in ("num_labels_closed_form", "decorrelation_weight_other_target"):
            continue
        assert cells.count(default) == 1, name
        if name in ("parts", "recipe"):
            continue
        for cell in cells:
            flat = dataclasses.asdict(cell)
            expected = dataclasses.asdict(default)
            for place in (flat, flat["config"]):
                place.pop(name, None)
            for place in (expected, expected["config"]):
                place.pop(name, None)
            assert flat == expected, name
    assert "0.07" in [point.label for point in found["linear_damping"].points]


def test_metrics_of_the_default_are_those_of_its_reports(results, dataset, pca):
    (row,) = [row for row in results.studies["input_noise"] if row["default"]]
    reports = [
        learn_axes(dataset, pca, dataclasses.replace(BASE, seed=seed), progress=False).report.summary()
        for seed in (0, 1)
    ]
    for name in reports[0]:
        own = [report[name] for report in reports]
        np.testing.assert_allclose(row[name], np.mean(own), rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(row[f"{name} sd"], np.std(own, ddof=1), rtol=0.1, atol=1e-4)
    assert row["runs"] == 2
    assert set(METRICS) < set(row)
    labels, decorrelated, components = results.studies["references"]
    assert labels["disentanglement"] > 0.99 > components["disentanglement"]
    assert decorrelated["attribute_code_correlation"] < 1e-5 < decorrelated["fresh_leakage"]


def test_cells_with_few_labels_use_the_same_held_out_split(results, dataset, pca):
    reference = ablations.Reference.of(dataset, pca, BASE)
    ((few, _),) = ablations.train(dataset, pca, [ablations.Cell(BASE, 8, 64, (0, 1))], reference)
    (row,) = [row for row in results.studies["input_noise"] if row["default"]]
    assert row["axis_label_correlation"] > few["axis_label_correlation"] > 0.5
    assert few["leakage"] > row["leakage"]


def test_interrupted_runs_resume_and_keep_finished_cells(dataset, pca, tmp_path, monkeypatch):
    calls: list[int] = []
    original = ablations.train

    def interrupted(*arguments):
        calls.append(len(arguments[2]))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(ablations, "train", interrupted)
    chosen = plan(BASE, "input_noise")
    with pytest.raises(KeyboardInterrupt):
        ablations.run(dataset, chosen, pca, BASE, tmp_path, progress=False)
    assert len(list(tmp_path.iterdir())) == 1
    ablations.run(dataset, chosen, pca, BASE, tmp_path, progress=False)
    ablations.run(dataset, chosen, pca, BASE, tmp_path, progress=False)
    assert calls == [1, 1, 1]
    # Another default makes new cells, and one sweep can train several.
    other = dataclasses.replace(BASE, attribute_weight=0.5)
    others = plan(other, "input_noise", num_seeds=1)
    ablations.run(dataset, others, pca, other, tmp_path, sweep_size=4, progress=False)
    assert calls == [1, 1, 1, 2]
    damaged = next(tmp_path.glob("*.json"))
    damaged.write_text("{")
    with pytest.raises(InputError, match=damaged.name):
        ablations.run(dataset, chosen, pca, BASE, tmp_path, progress=False)
        ablations.run(dataset, others, pca, other, tmp_path, progress=False)


def test_command_line(dataset, pca, tmp_path, monkeypatch):
    monkeypatch.setattr(ablations, "load_labelled_latents", lambda name: dataset)
    monkeypatch.setattr(ablations, "fit_pca", lambda w: pca)
    config = MagicMock(return_value=BASE, paper=AxesConfig.paper)
    monkeypatch.setattr(ablations, "AxesConfig", config)
    app = typer.Typer()
    app.command()(ablations.main)
    page, figure, numbers = tmp_path / "page.md", tmp_path / "figure.png", tmp_path / "numbers.json"
    page.write_text("It is <!-- value input_noise | default | leakage -->?<!-- end -->.\n")
    arguments = ["--small", "--study", "input_noise", "--steps", "4"]
    outputs = ["--json", str(numbers), "--figure", str(figure), "--page", str(page)]
    done = CliRunner().invoke(app, [*arguments, *outputs, "--out", str(tmp_path / "cells")])
    assert done.exit_code == 0, done.output
    assert "input noise" in done.output
    found = json.loads(numbers.read_text())
    assert found["environment"]["date"]
    assert [row["label"] for row in found["results"]["input_noise"]] == ["0", "1"]
    assert found["results"]["input_noise"][1]["runs"] == 2
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert f"{found['results']['input_noise'][1]['leakage']:.3f}<!-- end -->" in page.read_text()
    wrong = CliRunner().invoke(app, ["--study", "color"])
    assert wrong.exit_code == 2
    assert "input_noise" in wrong.output
    assert CliRunner().invoke(app, ["--small", "--large"]).exit_code == 2


def test_tables_and_pages(results):
    table = markdown_table("input noise", results.studies["input_noise"])
    lines = table.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("| input noise | axis–label r |")
    assert lines[3].startswith("| **1** | **")
    assert " ± " in table
    page = (
        "A <!-- table input_noise -->old<!-- end --> B <!-- table parts -->kept<!-- end --> C "
        "<!-- default num_training -->1<!-- end --> of <!-- machine --><!-- end -->"
    )
    filled = fill(page, results)
    assert table in filled
    assert "kept" in filled
    assert "280<!-- end --> of <!-- machine -->2" in filled or "<!-- default num_training -->280" in filled
    assert fill(filled, Results.from_json(results.to_json())) == filled
    with pytest.raises(InputError, match="color"):
        fill("<!-- value input_noise | 0 | color -->1<!-- end -->", results)
    with pytest.raises(InputError, match="after every marker"):
        fill("<!-- table input_noise --> and no end", results)


PAGE = (ROOT / "docs" / "ablations.md").read_text()


def test_the_page_agrees_with_the_results():
    found = Results.from_json((ROOT / "benchmarks" / "results" / "ablations_cpu.json").read_text())
    assert fill(PAGE, found) == PAGE
    for kind in ("table", "value"):
        for study in re.findall(rf"<!-- {kind} (\w+)", PAGE):
            assert study in found.studies
    assert (ROOT / "docs" / "images" / "ablations.png").exists()


def test_the_page_code_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})
    assert [float(line) < 0.9 for line in capsys.readouterr().out.split()] == [True] * 3
