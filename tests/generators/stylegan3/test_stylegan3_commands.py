"""A StyleGAN3, T or R, goes through the commands: from a pickle to edits of a photograph."""

import numpy as np
import pytest
from PIL import Image

from jaxedit.pretrained.registry import load_axes
from tests.conversion.foreign_stylegan3 import stylegan3_module
from tests.conversion.foreign_torch import write_pickle
from tests.generators.stylegan3.references import read_reference

pytestmark = pytest.mark.slow

CLASSIFIER = """
import jax.numpy as jnp


class Colors:
    names = ("brightness", "warmth")

    def __call__(self, images):
        warmth = images[..., 0].mean((1, 2)) - images[..., 2].mean((1, 2))
        return jnp.stack([images.mean((1, 2, 3)), warmth], axis=1)
"""
SMALL = "--num-latents 64 --num-derivatives 8 --num-images 16 --num-calibration-latents 16 --gradient-batch-size 8"


def warmth(image: np.ndarray) -> float:
    return float((image[..., 0] - image[..., 2]).mean())


@pytest.mark.parametrize(
    ("name", "class_"), [("stylegan3_t_32", ""), ("stylegan3_r_64", "#1")], ids=["T", "R of a class"]
)
def test_from_a_pickle_to_edits_of_a_photograph(name, class_, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(CLASSIFIER)
    (tmp_path / "network.pkl").write_bytes(write_pickle({"G_ema": stylegan3_module(read_reference(name)[1])}))
    generator, classifier = ("-g", f"converted{class_}"), ("--classifier", "mine.py:Colors")

    def do(*arguments: object) -> str:
        code, out, error = run(*arguments)
        assert code == 0, error
        return out

    do("convert", "network.pkl", "--out", "converted")
    do("label", *generator, *classifier, "-n", 256, "--batch-size", 32, "--out", "labels")
    do("learn", *generator, "--labels", "labels", "--out", "axes", "--num-steps", 100)
    do("refine", *generator, *classifier, "--axes", "axes", "--out", "refined", *SMALL.split())
    assert load_axes("refined").curves is not None
    for axes in ("axes", "refined"):
        edit = ("edit", *generator, "--axes", axes, "--seed", 7, "--compare", "warmth=+2")
        do(*edit, "--out", f"{axes}.png")
        with Image.open(f"{axes}.png") as image:
            before, after = np.split(np.asarray(image, np.float32), 2, axis=1)
        assert warmth(after) > warmth(before) + 1
    with Image.open("axes.png") as image:
        side = image.height
        image.crop((0, 0, side, side)).resize((64, 64), Image.Resampling.BICUBIC).save("photo.png")
    out = do("project", "photo.png", "--aligned", "--tune", *generator, "--out", "found", "--num-steps", 30)
    assert "tuned: LPIPS 0.0" in out
    edit = ("edit", *generator, "--axes", "refined", "--latent", "found/photo", "warmth=+2")
    do(*edit, "--out", "photo_edited.png")
    with Image.open("photo_edited.png") as image, Image.open("photo.png") as photo:
        assert image.size == (side, side)
        assert warmth(np.asarray(image, np.float32)) > warmth(np.asarray(photo, np.float32)) + 1
