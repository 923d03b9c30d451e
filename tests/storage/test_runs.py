import json

import numpy as np
import pytest

from jaxedit.errors import InputError
from jaxedit.storage.arrays import ArrayOf
from jaxedit.storage.runs import REQUEST_FILE, RunFolder

REQUEST = {"seed": 1, "names": ("a", "b"), "count": 4}


def test_a_unit_is_made_once(tmp_path):
    run, made = RunFolder.open(tmp_path / "run", kind="toys", request=REQUEST), []

    def make():
        made.append(1)
        return {"x": np.arange(3)}

    for _ in range(2):
        again = RunFolder.open(tmp_path / "run", kind="toys", request=REQUEST)
        np.testing.assert_array_equal(again.get_or_make("deep/one", make)["x"], np.arange(3))
    assert made == [1]
    assert run.units("deep") == ["deep/one"]
    assert run.units() == []


def test_a_damaged_unit_is_made_again(tmp_path):
    run = RunFolder.open(tmp_path, kind="toys", request=REQUEST)
    path = run.write("one", {"x": np.arange(1000)})
    path.write_bytes(path.read_bytes()[:-100])
    assert run.read("one") is None
    np.testing.assert_array_equal(run.get_or_make("one", lambda: {"x": np.ones(2)})["x"], np.ones(2))
    assert run.read("one") is not None


def test_conditions_of_a_unit(tmp_path):
    run = RunFolder.open(tmp_path, kind="toys", request=REQUEST)
    under = {"w": np.asarray([1.0, -2.0, 3.0])}
    run.write("one", {"x": np.ones(1)}, under=under)
    assert run.read("one", under=under) is not None
    assert run.read("one", under={"w": under["w"] * (1 + 1e-6)}) is not None
    assert run.read("one", under={"w": under["w"] + 0.1}) is None
    assert run.read("one", under={"w": under["w"][:2]}) is None
    assert run.read("one", under={"other": under["w"]}) is None


def test_another_request_is_refused(tmp_path):
    RunFolder.open(tmp_path, kind="toys", request=REQUEST)
    with pytest.raises(InputError, match=r"with another seed: expected 2, found 1; give another folder"):
        RunFolder.open(tmp_path, kind="toys", request=REQUEST | {"seed": 2})
    with pytest.raises(InputError, match=r"with another extra: expected null, found 5"):
        path = tmp_path / REQUEST_FILE
        content = json.loads(path.read_text())
        content["request"]["extra"] = 5
        path.write_text(json.dumps(content))
        RunFolder.open(tmp_path, kind="toys", request=REQUEST)


def test_only_the_entries_that_differ_are_named(tmp_path):
    nested = {"networks": {"names": ["a"] * 50, "large": False}}
    RunFolder.open(tmp_path, kind="toys", request=nested)
    changed = {"networks": nested["networks"] | {"large": True, "new": 1}}
    message = (
        'another networks: expected {"large": true, "new": 1}, found {"large": false}; give another folder'
    )
    with pytest.raises(InputError, match=message):
        RunFolder.open(tmp_path, kind="toys", request=changed)


def test_settings_that_may_differ_are_replaced(tmp_path):
    RunFolder.open(tmp_path, kind="toys", request=REQUEST)
    RunFolder.open(tmp_path, kind="toys", request=REQUEST | {"count": 9}, may_differ=("count",))
    assert RunFolder.load(tmp_path, kind="toys").request == {"seed": 1, "names": ["a", "b"], "count": 9}


def test_folders_of_earlier_versions_are_resumed(tmp_path):
    (tmp_path / "job.json").write_text(json.dumps({"format": 1, "seed": 1, "names": ["a", "b"], "count": 4}))
    RunFolder.open(tmp_path, kind="toys", request=REQUEST)
    assert RunFolder.load(tmp_path, kind="toys").request["seed"] == 1
    assert (tmp_path / REQUEST_FILE).is_file()


def test_other_folders_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="expected a new or empty folder, or one of a run of toys to resume"):
        RunFolder.open(tmp_path, kind="toys", request=REQUEST)
    with pytest.raises(InputError, match=r"expected a folder of toys, found no run\.json"):
        RunFolder.load(tmp_path, kind="toys")
    with pytest.raises(InputError, match="expected a new or empty folder"):
        RunFolder.open(tmp_path / "notes.txt", kind="toys", request=REQUEST)
    RunFolder.open(tmp_path / "b", kind="blocks", request={})
    with pytest.raises(InputError, match="expected a folder of toys, found one of blocks"):
        RunFolder.open(tmp_path / "b", kind="toys", request=REQUEST)
    (tmp_path / "b" / REQUEST_FILE).write_text("{")
    with pytest.raises(InputError, match=r"run\.json: damaged"):
        RunFolder.open(tmp_path / "b", kind="toys", request=REQUEST)


def test_files_of_interrupted_writes_are_ignored(tmp_path):
    (tmp_path / ".run.json.abcd_123.partial").write_text("{")
    RunFolder.open(tmp_path, kind="toys", request=REQUEST)
    assert [path.name for path in tmp_path.iterdir()] == [REQUEST_FILE]


def test_of_two_runs_that_begin_together_one_has_the_folder(tmp_path, monkeypatch):
    write = RunFolder._write_request

    def second(run, *, replace):
        monkeypatch.setattr(RunFolder, "_write_request", write)
        RunFolder.open(tmp_path / "run", kind="toys", request=REQUEST | {"seed": 2})
        write(run, replace=replace)

    monkeypatch.setattr(RunFolder, "_write_request", second)
    with pytest.raises(InputError, match="with another seed: expected 1, found 2"):
        RunFolder.open(tmp_path / "run", kind="toys", request=REQUEST)
    assert RunFolder.load(tmp_path / "run", kind="toys").request["seed"] == 2


def test_a_unit_of_other_arrays_is_damaged(tmp_path):
    run = RunFolder.open(tmp_path, kind="toys", request=REQUEST)
    run.write("one", {"x": np.ones((3, 2), np.float32), "n": np.arange(3)})
    whole = {"x": ArrayOf("f", ("rows", 2), is_finite=True), "n": ArrayOf("i", ("rows",))}
    assert run.read("one", arrays=whole) is not None
    for other in (
        {"x": ArrayOf("f", (3, 3))},
        {"x": ArrayOf("i")},
        {"y": ArrayOf("f")},
        {"x": ArrayOf("f", ("n", "n"))},
    ):
        assert run.read("one", arrays=other) is None


def test_a_run_is_removed_without_foreign_files(tmp_path):
    for name in ("clean", "mixed"):
        run = RunFolder.open(tmp_path / name, kind="toys", request=REQUEST)
        run.write("deep/one", {"x": np.ones(2)})
        if name == "mixed":
            np.savez(tmp_path / name / "deep" / "mine.npz", x=np.ones(2))
            (tmp_path / name / "notes.txt").write_text("mine")
        run.remove()
    left = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(left) == ["mixed/deep/mine.npz", "mixed/notes.txt"]


def test_a_target_is_checked_before(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="expected a new or empty folder"):
        RunFolder.check_target(tmp_path, kind="toys")
    RunFolder.check_target(tmp_path / "new", kind="toys")
    assert not (tmp_path / "new").exists()
