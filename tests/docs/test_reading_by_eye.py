"""The guides to labels read by eye and to blind studies, followed at small sizes."""

import numpy as np
import pytest

from tests.docs.pages import DOCS, python_code, run_command, run_python, shell_lines

pytestmark = pytest.mark.slow

GUIDES = DOCS / "guides"


def test_annotations(tmp_path):
    sheets, *_ = shell_lines(GUIDES / "annotations.md")
    shipped = next(line for line in shell_lines(GUIDES / "annotations.md") if "--annotations mobile" in line)
    run_command(sheets, tmp_path, "--count", "4")
    assert len(list((tmp_path / "read" / "sheets").iterdir())) == 1
    run_command(shipped, tmp_path, "--num-steps", "20")
    assert (tmp_path / "glasses" / "metadata.json").exists()


def test_a_classifier_from_marks(tmp_path):
    _, _, _, _, _, teach, label, learn, again, *_ = shell_lines(GUIDES / "annotations.md")
    some = "teach mobile-stylegan-ffhq --columns headwear,earrings --count 100"
    for line in (teach, again):
        printed = run_command(line.replace("teach read", some), tmp_path)
        quality = {line.split()[0]: float(line.split()[2]) for line in printed.splitlines() if ") " in line}
        assert quality["headwear"] > 0.8
    run_command(label, tmp_path, "--num-samples", "128")
    run_command(learn, tmp_path, "--num-steps", "20", "--num-components", "40")
    assert (tmp_path / "taught-hats" / "metadata.json").exists()
    code = "\n".join(python_code(GUIDES / "annotations.md")).replace("first(200)", "first(60)")
    assert "[" in run_python(code, tmp_path)


def test_sheets_of_edited_faces(tmp_path):
    edited, check, _ = (x for x in shell_lines(GUIDES / "annotations.md") if "edits" in x)
    run_command(edited, tmp_path, "--attributes", "eyeglasses", "--faces", "2")
    table = tmp_path / "edits" / "table.tsv"
    header, *rows = table.read_text().splitlines()
    assert len(rows) == 5 and header.split("\t")[:2] == ["index", "glasses"]
    table.write_text("\n".join([header, *(row.replace("\t", f"\t{i % 2}", 1) for i, row in enumerate(rows))]))
    printed = run_command(check, tmp_path)
    assert "(4)" in next(line for line in printed.splitlines() if line.startswith("  eyeglasses"))


def test_a_blind_study(tmp_path):
    sheets, *_ = shell_lines(GUIDES / "blind_study.md")
    run_command(sheets, tmp_path, "--faces", "1")
    assert (tmp_path / "study" / "answers.tsv").exists()
    assert not list((tmp_path / "study").rglob("*key*"))


def test_two_methods_are_compared(tmp_path):
    _, _, compare, _ = shell_lines(GUIDES / "blind_study.md")
    w = np.random.RandomState(0).randn(1, 512).astype(np.float32)
    np.savez(tmp_path / "published.npz", smile=0.5 * w)
    printed = run_command(compare, tmp_path, "--faces", "2", "--change", "0.02")
    assert "4 pairs in" in printed
    assert len(list((tmp_path / "both" / "sheets").iterdir())) == 2
