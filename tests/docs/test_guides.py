"""Each guide of the site, followed to the letter in a folder of its own, at small sizes."""

import itertools
import pickle
import re

import jax
import numpy as np
import pytest
from PIL import Image
from skimage import data

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from jaxedit.generators.stylegan2.initial import initial_params
from jaxedit.pretrained.registry import load_axes, save_generator
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
    (tmp_path / "holidays").mkdir()
    Image.fromarray(data.astronaut()).save(tmp_path / "holidays" / "pier.jpg", quality=95)
    guide = GUIDES / "photos.md"
    assert len(commands(guide)) == len(shell_lines(guide))
    for command in commands(guide):
        if "-g ffhq" in command:
            continue  # `test_directions_of_others`
        searches = command.startswith(("jaxedit project", "jaxedit read")) or "--photo" in command
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


def test_directions_of_others(tmp_path):
    """The edits of the guide to photographs along files of others, which fit a StyleGAN2 called "ffhq"."""
    shape = StyleGAN2Config.of_size(
        64, channel_base=8192, channel_max=128, z_dim=16, w_dim=16, mapping_layers=2
    )
    generator = StyleGAN2(shape, initial_params(shape, jax.random.key(0)))
    save_generator(generator, tmp_path / "ffhq")
    random = np.random.RandomState(0)
    ones = {"lat_mean": np.zeros((1, 1, 16)), "lat_stdev": np.ones(5), "lat_comp": np.ones((5, 1, 16))}
    np.savez(tmp_path / "ganspace.npz", act_comp=random.randn(5, 1, 16), **ones)
    np.save(tmp_path / "stylegan_ffhq_age_w_boundary.npy", random.randn(1, 16).astype(np.float32))
    styles = [random.randn(1, n) for n in generator.style_channels.values()]
    (tmp_path / "beard.pkl").write_bytes(pickle.dumps(styles))
    edits = [command for command in commands(GUIDES / "photos.md") if "-g ffhq" in command]
    assert len(edits) == 4
    for command in edits:
        run_command(command, tmp_path)
    pixels = []
    for name in ("moved", "older", "channel", "beard"):
        with Image.open(tmp_path / f"{name}.png") as image:
            pixels.append(np.asarray(image))
    assert all((a != b).any() for a, b in itertools.combinations(pixels, 2))


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
    elsewhere = {
        "own_axes.md",
        "refining_axes.md",
        "annotations.md",
        "blind_study.md",
        "studio.md",
        "export.md",
    }
    here = {f"{name.removeprefix('test_')}.md" for name in globals() if name.startswith("test_")}
    assert {path.name for path in GUIDES.glob("*.md")} <= here | elsewhere
