import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtri

from jaxedit.errors import InputError
from jaxedit.evaluation import (
    Evaluation,
    EvaluationConfig,
    Evaluators,
    IndependentNetworks,
    LinearDirections,
    evaluate,
    measurement,
)

NAMES = ("red", "green", "blue")
W_DIM = 6

NORMAL = ndtri((np.arange(4000) + 0.5) / 4000).astype(np.float32)
REFERENCE = dict.fromkeys(NAMES, NORMAL)
"""With these values one standard deviation is 1, and positions are values."""

DIRECTIONS = np.zeros((3, W_DIM), np.float32)
DIRECTIONS[:, :3] = [[1, 0.2, 0], [0, 1, -0.1], [0.3, 0.1, 1]]
LINEAR = LinearDirections("linear", NAMES, DIRECTIONS)

SETTINGS = {
    "targets": NAMES,
    "pilot": 8,
    "num_resamples": 100,
    "generator_name": "toy",
    "batch_size": 16,
}


def mean_color(images):
    return images.mean((1, 2))


def pixel_distance(one, other):
    return jnp.sqrt(((one - other) ** 2).mean((1, 2)).sum(1))


class Second:
    """Independent networks: red twice, the second time with green mixed in; green; and a column nobody asked for."""

    names = ("red@a", "red@b", "green@a", "hue@a")

    def __call__(self, images):
        red, green, _ = 10 * images.mean((1, 2)).T
        return jnp.stack([red, red + green, 2 * green, red], 1)


@dataclasses.dataclass(frozen=True)
class Calibrated(LinearDirections):
    """Asked for a value, it makes it; `slip` too much."""

    slip: float = 0.0

    def edit_to(self, w, attribute, values):
        i = self.attribute_names.index(attribute)
        return jnp.asarray(w).at[:, i].set(values + self.slip)


@pytest.fixture(scope="module")
def faces():
    return np.random.RandomState(3).standard_normal((40, W_DIM)).astype(np.float32)


@pytest.fixture
def run(toy, classifier, faces, tmp_path):
    def run(*methods, out=tmp_path / "evaluation", w=faces, progress=False, evaluators=None, **changes):
        evaluators = Evaluators(**({"classifier": classifier, "reference": REFERENCE} | (evaluators or {})))
        config = EvaluationConfig(**(SETTINGS | changes))
        return evaluate(toy, methods or (LINEAR,), w, evaluators, config, out=out, progress=progress)

    return run


@pytest.fixture
def batches(monkeypatch):
    """Counts batches of images."""
    counted = []
    read_images = measurement._read_images

    def counting(*arguments):
        counted.append(arguments)
        return read_images(*arguments)

    monkeypatch.setattr(measurement, "_read_images", counting)
    return counted


def test_effects_of_straight_directions_are_known(run):
    result = run()
    for i, name in enumerate(NAMES):
        cell = result.cells["linear", name]
        expected = DIRECTIONS[i, :3] / DIRECTIONS[i, i]
        effects = [cell.effects[other].value for other in NAMES]
        np.testing.assert_allclose(effects, expected, atol=0.02)
        leakage = np.abs(np.delete(expected, i)).mean()
        assert cell.leakage.value == pytest.approx(leakage, abs=0.01)
        assert cell.absolute_leakage.value == pytest.approx(leakage, abs=0.01)
        np.testing.assert_allclose([side.value for side in cell.target_change], 1, atol=0.03)
        np.testing.assert_allclose(cell.amounts, [-1, 1], atol=0.03)
        assert cell.reached == (True, True)
        assert cell.monotone_share.value == 1
        np.testing.assert_allclose(cell.slider_change, cell.slider, atol=0.08)


def test_curves_follow_the_target(run):
    curve = run(evaluators={"identity": {"identity": mean_color}}).cells["linear", "red"].curve
    np.testing.assert_allclose(curve.off_target, 0.1 * np.abs(curve.target_change), atol=0.02)
    np.testing.assert_allclose(
        curve.identity["identity"], 0.1 * np.hypot(1, 0.2) * np.abs(curve.amounts), atol=0.01
    )
    assert (np.diff(curve.amounts) > 0).all()
    assert curve.target_change[curve.amounts == 0] == 0


@pytest.mark.parametrize("unit", [0.2, 5.0])
def test_the_unit_of_a_method_does_not_matter(run, unit):
    scaled = dataclasses.replace(LINEAR, name="scaled", directions=unit * DIRECTIONS)
    cell = run(scaled, targets=["red"]).cells["scaled", "red"]
    np.testing.assert_allclose(cell.amounts, [-1 / unit, 1 / unit], rtol=0.04)
    assert cell.effects["green"].value == pytest.approx(0.2, abs=0.01)


def test_w_plus_gives_the_same(run, toy):
    layered = LinearDirections("layered", NAMES, np.repeat(DIRECTIONS[:, None], toy.num_ws, axis=1))
    result = run(LINEAR, layered, targets=["blue"])
    one, other = (result.cells[name, "blue"] for name in ("linear", "layered"))
    assert one.leakage.value == pytest.approx(other.leakage.value, abs=1e-4)
    assert (one.leakage.low, one.leakage.high) == pytest.approx(
        (other.leakage.low, other.leakage.high), abs=1e-4
    )


def test_distances_at_equal_change(run):
    distances = {"color": mean_color, "red": lambda images: images.mean((1, 2))[:, :1]}
    evaluators = {"identity": distances, "perceptual": pixel_distance}
    result = run(evaluators=evaluators, targets=["red"], batch_size=7)
    cell = result.cells["linear", "red"]
    assert cell.identity["color"].value == pytest.approx(0.1 * np.hypot(1, 0.2), abs=0.003)
    assert cell.identity["red"].value == pytest.approx(0.1, abs=0.003)
    assert cell.perceptual is not None
    assert cell.perceptual.value == pytest.approx(0.1 * np.hypot(1, 0.2), abs=0.004)


def test_independent_networks_read_the_same_images(run):
    reference = np.stack([NORMAL, np.sqrt(2) * NORMAL, 2 * NORMAL, NORMAL], axis=1)
    networks = IndependentNetworks(Second(), reference=np.tile(reference, (20, 1)))
    result = run(evaluators={"independent": {"second": networks}})
    second = result.cells["linear", "red"].independent["second"]
    assert second.attribute_names == ("green",)
    columns = [second.column_effects[name].value for name in Second.names]
    np.testing.assert_allclose(columns, [1, 1.2 / np.sqrt(2), 0.2, 1], atol=0.03)
    target = (1 + 1.2 / np.sqrt(2)) / 2
    assert second.target_change is not None
    assert second.target_change.value == pytest.approx(target, abs=0.03)
    assert second.leakage is not None
    assert second.leakage.value == pytest.approx(0.2 / target, abs=0.01)
    assert second.leakage_at_labels is not None
    assert second.leakage_at_labels.value == pytest.approx(0.2, abs=0.01)
    assert second.labels_leakage is not None
    assert second.labels_leakage.value == pytest.approx(0.2, abs=0.01)
    assert result.cells["linear", "blue"].independent["second"].leakage is None


def test_values_in_the_attributes_own_unit(run):
    exact, slipping = (Calibrated(f"slip {slip}", NAMES, DIRECTIONS, slip) for slip in (0.0, 0.5))
    result = run(LINEAR, exact, slipping, targets=["red"], requests={"red": (-1.0, 0.0, 2.0)})
    assert result.cells["linear", "red"].calibration is None
    for name, slip in (("slip 0.0", 0.0), ("slip 0.5", 0.5)):
        calibration = result.cells[name, "red"].calibration
        assert calibration is not None
        np.testing.assert_allclose(calibration.requests, [-1, 0, 2])
        np.testing.assert_allclose(calibration.mean, calibration.requests + slip, atol=1e-3)
        assert calibration.mean_absolute_error.value == pytest.approx(slip, abs=1e-3)


def test_targets_out_of_reach_are_reported(run):
    @dataclasses.dataclass(frozen=True)
    class Weak(LinearDirections):
        def edit(self, w, attribute, amounts):
            return super().edit(w, attribute, 0.5 * jnp.tanh(amounts))

    still = np.zeros((3, W_DIM), np.float32)
    still[:, 4] = 1
    result = run(Weak("weak", NAMES, DIRECTIONS), LinearDirections("still", NAMES, still))
    weak, none = result.cells["weak", "red"], result.cells["still", "red"]
    assert weak.reached == none.reached == (False, False)
    assert weak.leakage.value == pytest.approx(0.1, abs=0.01)  # of what it changes, this share leaks
    assert np.isnan(none.leakage.value)
    content = json.loads((result.folder / "evaluation.json").read_text())
    by_name = {(cell["method"], cell["attribute"]): cell for cell in content["results"]}
    assert by_name["still", "red"]["leakage"] == {"value": None, "low": None, "high": None}
    assert "not reached" in result.summary()


def test_methods_are_asked_for_targets_that_they_have(run):
    some = LinearDirections("some", ("blue", "hue"), DIRECTIONS[[2, 0]])
    result = run(LINEAR, some)
    assert [attribute for method, attribute in result.cells if method == "some"] == ["blue"]
    assert result.shared_targets() == ("blue",)
    assert result.mean("some", "leakage").value == pytest.approx(0.2, abs=0.01)


def test_results_are_computed_again_without_rendering(run, batches):
    result = run(evaluators={"identity": {"identity": mean_color}, "perceptual": pixel_distance})
    rendered = len(batches)
    again = Evaluation.load(result.folder)
    assert again.to_json() == result.to_json()
    assert len(batches) == rendered


def test_a_finished_run_renders_nothing_again(run, batches):
    run()
    before = len(batches)
    written = (run().folder / "evaluation.json").read_bytes()
    assert len(batches) == before
    (run().folder / "evaluation.json").unlink()
    assert (run().folder / "evaluation.json").read_bytes() == written
    assert len(batches) == before


def test_an_interrupted_run_resumes_to_the_same_result(run, batches, monkeypatch, tmp_path):
    whole = run()
    total, read_images = len(batches), measurement._read_images

    def dying(*arguments):
        if len(batches) >= total + total // 2:
            raise KeyboardInterrupt
        return read_images(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(measurement, "_read_images", dying)
        run(out=tmp_path / "killed")
    partial = Evaluation.load(tmp_path / "killed")
    assert 0 < len(partial.cells) < len(whole.cells)
    assert not list((tmp_path / "killed").rglob("*.partial"))
    resumed = run(out=tmp_path / "killed")
    # A unit was lost, and the first faces were read again, to see that the networks are the same.
    assert total < len(batches) - total < 1.4 * total
    assert resumed.to_json() == whole.to_json()


def test_a_method_that_has_changed_is_measured_again_and_others_stay(run, batches):
    other = dataclasses.replace(LINEAR, name="other")
    first = run(LINEAR, other, targets=["red", "green"])
    before = len(batches)
    directions = DIRECTIONS.copy()
    directions[0, 1] = 0.4
    second = run(dataclasses.replace(LINEAR, directions=directions), other, targets=["red", "green"])
    assert len(batches) - before < before / 2
    assert second.cells["linear", "red"].leakage.value == pytest.approx(0.2, abs=0.01)
    for cell in (("linear", "green"), ("other", "red"), ("other", "green")):
        assert second.cells[cell].leakage == first.cells[cell].leakage


def test_another_change_measures_only_what_depends_on_it(run, batches):
    run()
    before = len(batches)
    result = run(change=0.5)
    assert 0 < len(batches) - before < before
    cell = result.cells["linear", "red"]
    np.testing.assert_allclose(cell.amounts, [-0.5, 0.5], atol=0.03)
    assert cell.leakage.value == pytest.approx(0.1, abs=0.01)
    assert cell.effects["red"].value == pytest.approx(0.5)


def test_a_folder_of_something_else_is_refused(run, faces, tmp_path):
    first = run()
    for changes, message in (
        ({"generator_name": "cars"}, "another generator"),
        ({"evaluators": {"identity": {"identity": mean_color}}}, "another evaluators"),
        ({"w": 2 * faces, "targets": ["red"]}, "on other faces"),
        ({"w": faces[:20]}, "another num_faces"),
    ):
        with pytest.raises(InputError, match=message):
            run(**changes)
    assert Evaluation.load(tmp_path / "evaluation").request == first.request, (
        "refusals leave the folder alone"
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(InputError, match="new or empty folder"):
        run(out=tmp_path / "full")
    with pytest.raises(InputError, match="expected a folder of evaluation"):
        Evaluation.load(tmp_path / "full")


def test_folders_of_earlier_versions_are_refused_in_a_line(run, tmp_path):
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "job.json").write_text('{"format": 1}')
    for start in (run, lambda: Evaluation.load(tmp_path / "evaluation")):
        with pytest.raises(InputError, match=r"earlier version of jaxedit .*give another folder"):
            start()


def test_other_weights_under_the_same_names_are_noticed(run):
    class Other:
        names = NAMES

        def __call__(self, images):
            return 11 * images.mean((1, 2))

    run(targets=["red"])
    with pytest.raises(InputError, match=r"other networks \(values\)"):
        run(evaluators={"classifier": Other()}, targets=["green"])


def test_a_damaged_unit_is_measured_again(run, batches):
    result = run()
    before, path = len(batches), result.folder / "measurements" / "linear" / "red" / "faces.npz"
    path.write_bytes(path.read_bytes()[:100])
    assert run().to_json() == result.to_json()
    assert 0 < len(batches) - before < 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": ["hue"]}, "targets: .*red, green, blue; got 'hue'"),
        ({"targets": []}, "targets: expected one or more names"),
        ({"targets": "red"}, "targets: .*got 'red'"),
        ({"leakage_attributes": ["red", "red"]}, "leakage_attributes: expected one or more names, each once"),
        ({"leakage_attributes": ["hue"]}, "leakage_attributes: .*red, green, blue; got 'hue'"),
        ({"leakage_attributes": ["red"], "targets": ["red"]}, "besides the target 'red'"),
        ({"change": 0.0}, "change: expected a positive"),
        ({"amounts": [1.0]}, "amounts"),
        ({"amounts": [2.0, 1.0]}, "amounts"),
        ({"batch_size": 0}, "batch_size"),
        ({"pilot": 1}, "pilot: expected 2 or more, got 1"),
        ({"num_resamples": 0}, "num_resamples"),
        ({"sheet_faces": -1}, "sheet_faces"),
        ({"requests": {"red": []}}, "requests: expected one or more finite values of 'red'"),
        ({"w": np.full((3, W_DIM), np.nan)}, "w: expected finite"),
        ({"w": np.ones((1, W_DIM))}, "w: .*two faces or more"),
    ],
)
def test_wrong_input_is_named(run, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        run(**changes)
    assert not (tmp_path / "evaluation").exists()


def test_independent_networks_are_checked():
    with pytest.raises(InputError, match="red@b, green@a, hue@a has none"):
        IndependentNetworks(Second(), {"red@a": "red"})
    with pytest.raises(InputError, match=r"reference values \[num_reference, 4\], got shape \[3, 2\]"):
        IndependentNetworks(Second(), reference=np.ones((3, 2)))


def test_wrong_methods_are_named(run, toy, classifier, faces, tmp_path):
    with pytest.raises(InputError, match="methods: expected one or more, got none"):
        evaluate(toy, [], faces, Evaluators(classifier), EvaluationConfig(targets=NAMES), out=tmp_path)
    with pytest.raises(InputError, match="names that differ"):
        run(LINEAR, LINEAR)
    with pytest.raises(InputError, match=r"'hues'.*it moves hue"):
        run(LinearDirections("hues", ("hue",), DIRECTIONS[:1]))

    @dataclasses.dataclass(frozen=True)
    class Broken(LinearDirections):
        def edit(self, w, attribute, amounts):
            moved = super().edit(w, attribute, amounts)
            return moved[:, :3] if self.name == "narrow" else moved / 0

    with pytest.raises(InputError, match=r"method 'narrow', red: expected latents"):
        run(Broken("narrow", NAMES, DIRECTIONS))
    with pytest.raises(InputError, match=r"method 'nan', red: expected finite latents"):
        run(Broken("nan", NAMES, DIRECTIONS))


def test_progress_goes_to_the_end(run, capsys):
    run(progress=True)
    last = capsys.readouterr().err.replace("\n", "\r").rstrip("\r ").split("\r")[-1]
    assert "100%" in last
    assert "linear, blue" in last
