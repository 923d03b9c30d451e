"""`jaxedit teach`, and its folder where a classifier is asked for, with the toy generator."""

import shutil

import numpy as np
import pytest

from jaxedit.images import save_image
from jaxedit.labels.annotations import latents_of_keys
from jaxedit.pretrained.annotations import load_annotations

RUBRIC = """
[[columns]]
name = "red"
scale = "yes-no"
[[columns]]
name = "green"
scale = "ordinal"
values = ["little", "some", "much"]
"""


@pytest.fixture
def marks(run, toy, monkeypatch, tmp_path):
    """A folder of sheets of 64 images whose table is filled in, as the toy makes them, with one wrong mark."""
    monkeypatch.setattr("jaxedit.pretrained.registry.load_generator", lambda name: toy)
    (tmp_path / "rubric.toml").write_text(RUBRIC)
    out = tmp_path / "read"
    arguments = ("annotate", "sheets", "toy", "-o", out, "--rubric", tmp_path / "rubric.toml", "-n", 64)
    assert run(*arguments, "--size", 16, "--batch-size", 64)[0] == 0
    keys = load_annotations(out).images.keys
    w = latents_of_keys(toy, "index", keys, seed=0, truncation_psi=1.0)
    reddest = int(np.argmax(w[:, 0]))
    rows = [
        f"{key}\t{int((x[0] > 0) != (key == reddest))}\t{np.digitize(x[1], [-0.5, 0.5])}\t"
        for key, x in zip(keys, w, strict=True)
    ]
    (out / "table.tsv").write_text("\n".join(["index\tred\tgreen\tnotes", *rows]))
    return out, reddest


def test_marks_become_a_classifier_that_labels(run, marks, tmp_path):
    table, reddest = marks
    seen = tmp_path / "seen"
    code, printed, err = run("teach", table, "-o", seen)
    assert code == 0, err
    red, green = (next(x for x in printed.splitlines() if x.startswith(f"  {n} ")) for n in ("red", "green"))
    assert red.split()[1] == "64" and float(red.split()[2]) > 0.9
    assert green.split()[3] == "r" and float(green.split()[2]) > 0.8
    doubtful = next(line for line in printed.splitlines() if line.startswith("    red "))
    assert doubtful.split()[1] == f"{reddest}:"  # the wrong mark comes first
    assert (seen / "metadata.json").exists() and not (tmp_path / "seen.features").exists()

    labels = tmp_path / "labels"
    arguments = ("label", "-g", "toy", "-n", 8, "--shard-size", 8, "-o", labels)
    code, printed, err = run(*arguments, "--classifier", seen)
    assert code == 0, err
    assert "8 images × 2 attributes" in printed


def test_marked_files_join(run, marks, tmp_path):
    table, _ = marks
    also = tmp_path / "files"
    rows = ["file\tred"]
    for i in range(12):
        color = np.array([[[128 + (i % 2 * 2 - 1) * 40, 110 + 3 * i, 128]]], np.uint8)
        save_image(np.broadcast_to(color, (16, 16, 3)), also / f"{i}.png")
        rows.append(f"{i}.png\t{i % 2}")
    (also / "table.tsv").write_text("\n".join(rows))
    shutil.copy(tmp_path / "rubric.toml", also / "rubric.toml")
    code, printed, err = run("teach", table, "--also", also, "-o", tmp_path / "seen", "--doubtful", 30)
    assert code == 0, err
    red = [line.split() for line in printed.splitlines() if line.split()[:1] == ["red"]]
    assert red[0][1] == "76" and red[1][2::2] == ["(64)", "(12)"] and float(red[1][3]) == 1
    assert "generated" in printed and "file" in printed
    code, _, err = run("teach", table, "--also", tmp_path / "none", "-o", tmp_path / "other")
    assert code == 2 and "none" in err and not (tmp_path / "other.features").exists()


def test_teach_says_what_it_needs(run, marks, tmp_path):
    table, _ = marks
    out = tmp_path / "seen"
    for arguments, message in (
        (("teach", table, "-o", out, "--count", 6), "marks of 'red': expected 5 images or more"),
        (("teach", table, "-o", out, "--count", 0), "--count: expected 1 or more, got 0"),
        (("teach", table / "table.tsv", "-o", out, "--columns", "blue"), "blue"),
        (("teach", tmp_path / "none", "-o", out), "none"),
        (("teach", table, "-o", table), "read: expected a free name or an older checkpoint"),
        (
            ("label", "-g", "toy", "-o", out, "--classifier", tmp_path / "none"),
            "no folder of `jaxedit teach`",
        ),
    ):
        code, _, err = run(*arguments)
        assert code in (1, 2) and message in err, err
        assert not out.exists()
