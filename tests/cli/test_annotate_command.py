"""`jaxedit annotate` and `jaxedit learn --annotations`, with the toy generator."""

import shutil

import numpy as np
import pytest
from PIL import Image

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.pretrained.annotations import load_annotations

RUBRIC = """
[[columns]]
name = "red_above"
scale = "yes-no"
[[columns]]
name = "green"
scale = "ordinal"
values = ["little", "some", "much"]
"""


@pytest.fixture
def edited(run, toy, toy_axes, monkeypatch, tmp_path):
    """A folder of sheets of edited images, filled in as a reader sees them: 13 images of each of two attributes."""
    monkeypatch.setattr("jaxedit.pretrained.registry.load_generator", lambda name: toy)
    monkeypatch.setattr("jaxedit.pretrained.registry.load_axes", lambda name, *_, **__: toy_axes)
    (tmp_path / "rubric.toml").write_text(RUBRIC)
    out = tmp_path / "edits"
    arguments = (
        "annotate",
        "edited",
        "toy",
        "-o",
        out,
        "--rubric",
        tmp_path / "rubric.toml",
        "--axes",
        "axes",
    )
    code, printed, err = run(
        *arguments, "--attributes", "red,blue", "--faces", 6, "--size", 16, "--amount", 2
    )
    assert code == 0, err
    return out, printed


class GreenAndRed:
    names = ("green", "red_above")

    def __init__(self, classifier):
        self.classifier = classifier

    def __call__(self, images):
        return self.classifier(images)[:, 1::-1]


def fill_in_edited(out):
    rows = []
    for path in sorted((out / "images").iterdir()):
        with Image.open(path) as image:
            red, green, _ = np.asarray(image)[4, 4].astype(int)
        rows.append(f"{int(path.stem)}\t{int(red > 128)}\t{np.digitize(green, [122, 134])}\t")
    (out / "table.tsv").write_text("\n".join(["index\tred_above\tgreen\tnotes", *rows]))


@pytest.fixture
def sheets(run, toy, monkeypatch, tmp_path):
    """A folder of sheets of 400 images, 200 a sheet."""
    monkeypatch.setattr("jaxedit.pretrained.registry.load_generator", lambda name: toy)
    monkeypatch.setattr("jaxedit.cli.labels_and_axes.DEFAULT_GENERATOR", "default")
    (tmp_path / "rubric.toml").write_text(RUBRIC)
    out = tmp_path / "read"
    arguments = ("annotate", "sheets", "toy", "-o", out, "--rubric", tmp_path / "rubric.toml", "-n", 400)
    code, printed, err = run(*arguments, "--size", 16, "--batch-size", 64)
    assert code == 0, err
    assert f"fill in {out / 'table.tsv'}" in printed
    return out, arguments


def fill_in(path, toy):
    """Reads the images as the toy makes them: the first entries of w are the colors."""
    table = load_annotations(path.parent)
    from jaxedit.labels.annotations import latents_of_keys

    w = latents_of_keys(toy, "index", table.images.keys, seed=0, truncation_psi=1.0)
    rows = [
        f"{key}\t{int(x[0] > 0.7)}\t{'9' if key % 5 == 0 else np.digitize(x[1], [-0.5, 0.5])}\t"
        for key, x in zip(table.images.keys, w, strict=True)
    ]
    path.write_text("\n".join(["index\tred_above\tgreen\tnotes", *rows]))


def test_sheets_are_written_read_and_learned_from(run, toy, sheets, tmp_path):
    out, arguments = sheets
    assert len(list((out / "sheets").iterdir())) == 14
    with Image.open(out / "sheets" / "000000-000029.png") as sheet:
        assert sheet.size == (6 * 30 + 14, 5 * 52 + 14)
    code, printed, err = run("annotate", "check", out)
    assert code == 0, err
    assert "800 cells have not been read, in 400 rows: index 0, 1, 2" in printed
    code, _, err = run("learn", "--annotations", out, "--out", tmp_path / "axes")
    assert code == 2 and "the table has not been filled in" in err

    fill_in(out / "table.tsv", toy)
    (out / "sheets" / "000000-000029.png").unlink()
    filled = (out / "table.tsv").read_text()
    assert run(*arguments, "--size", 16, "--batch-size", 64)[0] == 0  # resumes
    assert (out / "sheets" / "000000-000029.png").exists() and (out / "table.tsv").read_text() == filled
    code, _, err = run(*arguments, "--size", 16, "--seed", 3)
    assert code == 2 and "another seed" in err

    options = ("--num-components", 6, "--num-steps", 5, "--out", tmp_path / "axes")
    code, printed, err = run("learn", "--generator", "toy", "--annotations", out, *options)
    assert code == 0, err
    assert "read by eye: red_above 400, green 320 of 400 images" in printed
    assert "known labels" in printed
    axes = AttributeAxes.load(tmp_path / "axes")
    assert axes.attribute_names == ("red_above", "green") and axes.attribute_units == ("0 or 1", "0…2")
    assert (np.asarray(axes.report.axis_label_correlation) > 0.5).all()


def test_two_readers_are_compared(run, toy, sheets, tmp_path):
    out, _ = sheets
    fill_in(out / "table.tsv", toy)
    shutil.copy(out / "table.tsv", tmp_path / "second.tsv")
    lines = (tmp_path / "second.tsv").read_text().splitlines()
    lines[2] = "1\t" + ("0" if lines[2].split("\t")[1] == "1" else "1") + "\t?\t"
    (tmp_path / "second.tsv").write_text("\n".join(lines[:101]))
    code, printed, err = run("annotate", "check", out, tmp_path / "second.tsv")
    assert code == 0, err
    assert "300 images have no row" not in printed  # the second table stands alone
    row = next(line for line in printed.splitlines() if line.startswith("  red_above") and "0.990" in line)
    assert row.split()[1:3] == ["100", "0.990"]
    row = [line for line in printed.splitlines() if line.startswith("  green")][-2]
    assert row.split()[1:] == ["79", "1.000", "1.00", "1"]
    (tmp_path / "second.tsv").write_text("index\tgreen\n4\t7\n")
    code, _, err = run("annotate", "check", out, tmp_path / "second.tsv")
    assert code == 2 and "line 2: green: expected 0…2" in err and err.count("\n") == 1


def test_sheets_of_edited_images_are_written_and_checked(run, edited, tmp_path, monkeypatch, classifier):
    out, printed = edited
    assert "24 edited images, 28 in all" in printed and f"must not see: {out}-key" in printed
    assert len(list((out / "images").iterdir())) == 28 and (tmp_path / "edits-key" / "run.json").exists()
    fill_in_edited(out)
    monkeypatch.setattr(
        "jaxedit.attributes.user_classifier.load_classifier", lambda name: GreenAndRed(classifier)
    )
    code, printed, err = run("annotate", "check", out, "--classifier", "mine")
    assert code == 0, err
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines()[-3:]}
    assert sorted(rows["attribute"]) == ["edited", "unedited"]
    assert "(24)" in rows["red_above"] and "(4)" in rows["red_above"] and "1.000" in rows["red_above"]
    assert rows["green"].count("r") == 2
    for options, message in (
        (("--key", tmp_path / "none"), "none: expected a folder of key of edited images"),
        (("--batch-size", 0), "--batch-size: expected 1 or more"),
    ):
        code, _, err = run("annotate", "check", out, "--classifier", "mine", *options)
        assert code == 2 and message in err, err
    code, _, err = run("learn", "--annotations", out, "--out", tmp_path / "axes")
    assert code == 2 and "marks of image files go to `jaxedit teach --also`" in err


def test_edited_sheets_say_what_they_need(run, edited, tmp_path):
    out = tmp_path / "more"
    arguments = ("annotate", "edited", "toy", "-o", out, "--axes", "axes")
    for options, message in (
        (("--attributes", "hat"), "attribute 'hat': expected one of red, green, blue"),
        (("--where", "place"), "--where"),
        (("--key", out / "key"), "apart from the sheets"),
        (("--amount", -1), "amount: expected a number above 0"),
    ):
        code, _, err = run(*arguments, *options)
        assert code == 2 and message in err, err
        assert not out.exists()
