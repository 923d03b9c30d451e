import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.evaluation import EvaluationConfig, Evaluators, IndependentNetworks, LinearDirections, evaluate
from jaxedit.evaluation.report.published import leakage_table, load_numbers, main_numbers, save_numbers
from jaxedit.pretrained.known_generators import evaluation_path
from jaxedit.pretrained.registry import load_axes

NAMES = ("red", "green", "blue")


def two_colors(images):
    return 10 * images.mean((1, 2))[:, :2]


two_colors.names = ("red@a", "green@b")


@pytest.fixture(scope="module")
def evaluation(toy, classifier, tmp_path_factory):
    rng = np.random.RandomState(1)
    directions = np.eye(3, 6, dtype=np.float32)
    return evaluate(
        toy,
        [LinearDirections("all", NAMES, directions), LinearDirections("two", NAMES[:2], directions[:2])],
        rng.standard_normal((8, 6)).astype(np.float32),
        Evaluators(
            classifier,
            independent={"second": IndependentNetworks(two_colors)},
            identity={"color": lambda images: images.mean((1, 2))},
        ),
        EvaluationConfig(targets=NAMES, pilot=4, num_resamples=50, batch_size=8),
        out=tmp_path_factory.mktemp("evaluation"),
        progress=False,
    )


def test_saved_numbers_are_read_unchanged(evaluation, tmp_path):
    numbers = main_numbers(evaluation, truncation_psi=1.0, seed=99)
    assert load_numbers(save_numbers(numbers, tmp_path / "numbers.json")) == numbers
    assert [(row["method"], row["attribute"]) for row in numbers["rows"]] == list(evaluation.cells)
    for row, cell in zip(numbers["rows"], evaluation.cells.values(), strict=True):
        assert row["leakage"] == pytest.approx(cell.leakage.value, abs=1e-4)
        assert row["leakage_low"] <= row["leakage"] <= row["leakage_high"]
    table = leakage_table(numbers)
    assert [row[0] for row in table.rows] == list(evaluation.methods)
    assert all(len(row) == len(table.head) for row in table.rows)


def test_files_of_the_first_format_are_read(evaluation, tmp_path):
    numbers = main_numbers(evaluation, truncation_psi=1.0, seed=99)
    earlier = {**numbers, "format": 1, "judged": numbers["leakage_attributes"]}
    del earlier["leakage_attributes"]
    assert load_numbers(save_numbers(earlier, tmp_path / "numbers.json")) == numbers


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "numbers.json"
    for text in ("", "[]", "{}", '{"format": 99}'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"numbers\.json"):
            load_numbers(path)


@pytest.mark.slow
def test_the_package_holds_the_numbers_of_its_axes():
    numbers = load_numbers(evaluation_path("mobile-stylegan-ffhq"))
    ours = [row for row in numbers["rows"] if row["method"] == "jaxedit"]
    assert numbers["faces"] >= 400
    assert {row["attribute"] for row in ours} == {"age", "gender", "smile", "yaw"}
    assert {row["attribute"] for row in ours} <= set(load_axes("mobile-stylegan-ffhq").attribute_names)
    with pytest.raises(InputError, match="expected one of"):
        evaluation_path("other")
