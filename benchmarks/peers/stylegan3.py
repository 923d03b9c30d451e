"""The official StyleGAN3 generator, imported from the user's clone of NVlabs' stylegan3.

The code of the clone runs unchanged, and none of it is part of this project. On a CPU it uses its plain operations. It
needs scipy, requests, and a setuptools below 81. This module does not import JAX.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import typer


def load(folder: Path, kind: str, resolution: int, channel_base: int, *, seed: int = 0) -> Any:
    """An official generator with random weights. Adds the clone to `sys.path`.

    Args:
        folder: clone of stylegan3.
        kind: "t" or "r".
        resolution: resolution of the images.
        channel_base: as in the official training, which doubles it for R.
        seed: seed of the weights.

    Raises:
        typer.BadParameter: if the folder is not such a clone.
    """
    if not (folder / "training" / "networks_stylegan3.py").is_file():
        raise typer.BadParameter(
            f"{folder}: expected a clone of stylegan3, found no training/networks_stylegan3.py"
        )
    import torch

    sys.path.insert(0, str(folder))
    networks = importlib.import_module("training.networks_stylegan3")
    torch.manual_seed(seed)
    wider = 2 if kind == "r" else 1
    own = {"conv_kernel": 1, "use_radial_filters": True} if kind == "r" else {}
    generator = networks.Generator(
        z_dim=512,
        c_dim=0,
        w_dim=512,
        img_resolution=resolution,
        img_channels=3,
        mapping_kwargs={"num_layers": 2},
        channel_base=channel_base * wider,
        channel_max=512 * wider,
        **own,
    )
    return generator.eval().requires_grad_(False)


def synthesis(generator: Any, w: np.ndarray) -> Any:
    """w [batch, w_dim] ↦ images [batch, 3, height, width], a finished tensor on the device of the generator."""
    import torch

    device = next(generator.parameters()).device
    with torch.inference_mode():
        repeated = torch.tensor(w).to(device)[:, None].repeat(1, generator.num_ws, 1)
        images = generator.synthesis(repeated)
        if device.type == "cuda":
            torch.cuda.synchronize()
    return images


def gradient(generator: Any, w: np.ndarray) -> Any:
    """The gradient of the mean square of the images with respect to w."""
    import torch

    device = next(generator.parameters()).device
    latents = torch.tensor(w).to(device).requires_grad_(True)
    images = generator.synthesis(latents[:, None].repeat(1, generator.num_ws, 1))
    (found,) = torch.autograd.grad(images.square().mean(), latents)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return found
