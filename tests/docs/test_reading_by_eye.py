"""The guides to labels read by eye and to blind studies, followed at small sizes."""

import pytest

from tests.docs.pages import DOCS, run_command, shell_lines

pytestmark = pytest.mark.slow

GUIDES = DOCS / "guides"


def test_annotations(tmp_path):
    sheets, *_ = shell_lines(GUIDES / "annotations.md")
    shipped = next(line for line in shell_lines(GUIDES / "annotations.md") if "--annotations mobile" in line)
    run_command(sheets, tmp_path, "--count", "4")
    assert len(list((tmp_path / "read" / "sheets").iterdir())) == 1
    run_command(shipped, tmp_path, "--num-steps", "20")
    assert (tmp_path / "glasses" / "metadata.json").exists()


def test_a_blind_study(tmp_path):
    sheets, *_ = shell_lines(GUIDES / "blind_study.md")
    run_command(sheets, tmp_path, "--faces", "1")
    assert (tmp_path / "study" / "answers.tsv").exists()
    assert not list((tmp_path / "study").rglob("*key*"))
