import json

import pytest

from jaxedit.pretrained.hub import from_pretrained
from jaxedit.pretrained.registry import save_generator
from tests.export.small_models import small_axes, stylegan2


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save_generator(stylegan2(), folder / "generator")
    save_generator(stylegan2(c_dim=3), folder / "conditional")
    small_axes(4).save(folder / "axes")
    return folder


@pytest.mark.parametrize("format_", ["stablehlo", "onnx"])
def test_a_folder_and_a_line_for_each_part(run, folders, tmp_path, format_):
    code, out, err = run(
        "export",
        folders / "generator",
        "--axes",
        folders / "axes",
        "--format",
        format_,
        "--out",
        tmp_path / "out",
    )
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("mapping: z [batch, 8], truncation_psi [] -> w [batch, ")
    assert any(
        line.startswith("edit_w_plus: w_plus [batch, 4, 8], amounts [batch, 2], which [2] -> ")
        for line in lines
    )
    assert lines[-1] == str(tmp_path / "out")
    (about,) = (tmp_path / "out").glob("*.json")
    assert [one["name"] for one in json.loads(about.read_text())["attributes"]] == ["age", "smile"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["conditional#1", "--format", "onnx"], "generator: expected one with all its classes to export"),
        (["generator", "--axes", "axes"], "--axes: expected with --format stablehlo or onnx"),
        (["generator", "--force"], "--force: expected with --format stablehlo or onnx"),
        (
            ["generator", "--weights", "float16"],
            "--weights: expected with --format onnx, got it with --format",
        ),
        (["nowhere", "--format", "stablehlo"], "generator 'nowhere': expected one of"),
    ],
)
def test_refusals(run, folders, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(folders)
    code, _, err = run("export", *arguments, "--out", tmp_path / "out")
    assert code == 2
    assert message in err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_empty_is_refused(run, folders, tmp_path):
    (tmp_path / "mine.txt").write_text("")
    code, _, err = run("export", folders / "generator", "--format", "onnx", "--out", tmp_path)
    assert code == 1
    assert "found 'mine.txt' in it; give another name, or move it away" in err


def test_axes_alone_with_their_card(run, folders, tmp_path):
    arguments = ("export", folders / "generator", "--format", "axes", "--out", tmp_path / "shared")
    code, _, err = run(*arguments)
    assert (code, "--axes: expected the folder of axes" in err) == (2, True)
    assert run(*arguments, "--axes", folders / "axes")[0] == 0
    assert from_pretrained(tmp_path / "shared").attribute_names == ("age", "smile")
    assert "| age | years |" in (tmp_path / "shared" / "README.md").read_text()
