"""The guide to refining axes, followed on the axes of the guide before it; and its numbers."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxedit
from jaxedit.attributes.user_classifier import load_classifier
from jaxedit.generators.stylegan2.generator import StyleGAN2, StyleGAN2Config
from jaxedit.latents.pca import fit_pca
from jaxedit.latents.seed_stream import sample_w
from jaxedit.pretrained.registry import save_generator
from tests.conversion.official_fixtures import converted_fixture

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "refining_axes.md").read_text()
SMALL = "--num-latents 64 --num-derivatives 8 --num-images 32 --num-calibration-latents 32 --gradient-batch-size 8"
CLASSIFIER = """
import jax.numpy as jnp


class Colors:
    names = ("brightness", "warmth", "detail")

    def __call__(self, images):
        red, blue = images[..., 0].mean((1, 2)), images[..., 2].mean((1, 2))
        edges = jnp.abs(jnp.diff(images, axis=1)).mean((1, 2, 3))
        return jnp.stack([images.mean((1, 2, 3)), red - blue, jnp.log(edges)], axis=1)
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A generator of ten layers, a classifier, and axes."""
    folder = tmp_path_factory.mktemp("guide")
    config, arrays = converted_fixture("stylegan2_ada_64")
    shape = {key: tuple(v) if isinstance(v, list) else v for key, v in config.items() if key != "family"}
    generator = StyleGAN2(StyleGAN2Config(**shape), arrays)
    save_generator(generator, folder / "my-generator")
    (folder / "my_attributes.py").write_text(CLASSIFIER)
    classifier = load_classifier(f"{folder}/my_attributes.py:Colors")
    w = sample_w(generator, 0, 512)
    values = np.concatenate([classifier(generator.synthesis(w[i : i + 32])) for i in range(0, 512, 32)])
    dataset = jaxedit.LabelledLatents(w, values, classifier.names, ("",) * 3)
    axes = jaxedit.learn_axes(dataset, fit_pca(w), jaxedit.AxesConfig(num_steps=200), progress=False)
    axes.save(folder / "my-axes")
    return folder


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_commands(folder):
    refine, edit = blocks("sh")[0].strip().splitlines()
    run(folder, "-c", "from jaxedit.cli import main; main()", *shlex.split(refine)[1:], *SMALL.split())
    assert not (folder / "my-refined-axes.refinement").exists()
    run(folder, "-c", "from jaxedit.cli import main; main()", *shlex.split(edit)[1:])
    with Image.open(folder / "warmer.png") as image:
        before, after = np.split(np.asarray(image, np.float32), 2, axis=1)
    warmth = [(half[..., 0] - half[..., 2]).mean() for half in (before, after)]
    assert warmth[1] > warmth[0] + 1


@pytest.mark.slow
def test_the_python_code(folder):
    code = blocks("python")[0]
    for before, after in (("512", "64"), ("num_derivatives=64", "num_derivatives=8"), ("160", "32")):
        assert before in code
        code = code.replace(before, after)
    run(folder, "-c", code.replace("num_images", "num_calibration_latents=32, num_images"))
    assert (folder / "warmer_too.png").stat().st_size > 1000
    assert jaxedit.load_axes(folder / "my-refined-axes").curves.num_ws == 10


def test_the_numbers_are_those_of_the_benchmark():
    results = json.loads((ROOT / "benchmarks" / "results" / "refinement_cpu.json").read_text())
    rows = dict(re.findall(r"^\| (\w+) \| (.*?) \|$", GUIDE, re.MULTILINE))
    for target in results["targets_that_both_reach"]:
        found = results["targets"][target]
        for name, cell in zip(("plain", "refined"), rows[target].split(" | "), strict=True):
            assert cell == "{:.3f} ({:.3f} – {:.3f})".format(*found[name]["leakage"]), (target, name)
    mean = re.search(r"^\| \*\*mean\*\* \| (.*?) \|$", GUIDE, re.MULTILINE).group(1)
    for name, cell in zip(("plain", "refined"), mean.split(" | "), strict=True):
        assert cell == "**{:.3f}** ({:.3f} – {:.3f})".format(*results["leakage"][name])
    difference = results["leakage"]["refined - plain"]
    assert difference[2] < 0  # the whole interval
    assert difference[0] < -0.5 * results["leakage"]["plain"][0]
