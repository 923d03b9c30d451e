"""Each guide of the site, followed to the letter in a folder of its own, at small sizes."""

import re

import pytest
from PIL import Image
from skimage import data

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.pretrained.registry import load_axes
from tests.conversion.foreign_torch import official_module, write_pickle
from tests.conversion.official_fixtures import fixture_params
from tests.docs.pages import (
    DOCS,
    FEW_STEPS,
    commands,
    python_code,
    run_command,
    run_python,
    shell_lines,
    shortened,
)

pytestmark = pytest.mark.slow

GUIDES = DOCS / "guides"


def code_of(name: str) -> str:
    return "\n".join(python_code(GUIDES / name))


def test_photos(tmp_path):
    Image.fromarray(data.astronaut()).save(tmp_path / "portrait.jpg", quality=95)
    guide = GUIDES / "photos.md"
    assert len(commands(guide)) == len(shell_lines(guide))
    for command in commands(guide):
        searches = command.startswith("jaxedit project") or "--photo" in command
        run_command(command, tmp_path, *(FEW_STEPS if searches else []))
    files = {path.name for path in (tmp_path / "projected" / "portrait").iterdir()}
    # The table of the folder's files comes before that of latents from elsewhere.
    text = guide.read_text().partition("| file | from |")[0]
    table = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    named = {name for row in table for name in re.findall(r"`(\w+\.\w+)`", row)}
    assert len(named) == 6
    assert named <= files
    steps = {"ProjectionConfig.fast()": "ProjectionConfig.fast(num_steps=4, num_w_steps=2)"}
    printed = run_python(shortened(code_of("photos.md"), steps), tmp_path)
    assert "lpips" in printed
    assert (tmp_path / "smiling.png").stat().st_size > 100_000


def test_checkpoints(tmp_path):
    params, options = fixture_params("stylegan2_ada_64")
    (tmp_path / "stylegan2.pkl").write_bytes(write_pickle({"G_ema": official_module(params, options)}))
    guide = GUIDES / "checkpoints.md"
    assert len(commands(guide)) == len(shell_lines(guide)) == 4
    printed = [run_command(command, tmp_path) for command in commands(guide)]
    assert "architecture: skip" in printed[1]
    run_python(code_of("checkpoints.md") + "\nassert image.shape == plain.shape == (1, 64, 64, 3)", tmp_path)


def test_attributes(tmp_path):
    assert "'age': 0." in run_python(code_of("attributes.md"), tmp_path)


def test_devices(tmp_path):
    code = code_of("devices.md") + "\nprint(mesh.size, images.shape, images.dtype)"
    printed = run_python(code, tmp_path, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert "2 (4, 1024, 1024, 3) float32" in printed
    assert (tmp_path / "mesh-labels" / "labels.npz").exists()


def test_evaluation(tmp_path):
    guide = GUIDES / "evaluation.md"
    first_look, ranges = shell_lines(guide)
    run_command(first_look, tmp_path, "--faces", "2", "--pilot", "2")
    assert (tmp_path / "first-look" / "index.html").exists()
    load_axes("mobile-stylegan-ffhq").save(tmp_path / "axes")
    printed = run_command(ranges, tmp_path, "--faces", "2")
    assert AttributeAxes.load(tmp_path / "axes").range("age") is not None and "age" in printed


def test_every_guide_is_followed():
    # These have modules of their own.
    elsewhere = {"own_axes.md", "refining_axes.md", "annotations.md", "blind_study.md"}
    here = {f"{name.removeprefix('test_')}.md" for name in globals() if name.startswith("test_")}
    assert {path.name for path in GUIDES.glob("*.md")} <= here | elsewhere
