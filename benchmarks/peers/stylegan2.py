"""The official PyTorch generator, imported from the user's clone of NVlabs' stylegan2-ada-pytorch.

The code of the clone runs unchanged, and none of it is part of this project. It uses its reference operations on a CPU,
and its CUDA extensions, compiled at the first call, on a GPU. This module does not import JAX: the memory of a process
that runs the official code alone can then be measured.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import typer


def load(
    folder: Path,
    *,
    resolution: int,
    channel_base: int,
    mixed_precision: bool,
    conv_clamp: float | None,
    seed: int = 0,
) -> Any:
    """An official generator with random weights and non-zero noise. Adds the clone to `sys.path`.

    Args:
        folder: clone of stylegan2-ada-pytorch.
        resolution: resolution of the images.
        channel_base: channel base: min(channel_base / resolution, 512) channels at each resolution.
        mixed_precision: whether the four highest resolutions use float16, as in the official training.
        conv_clamp: limit of the absolute output of each layer, or None.
        seed: seed of the weights.

    Raises:
        typer.BadParameter: if the folder is not such a clone.
    """
    if not (folder / "training" / "networks.py").is_file():
        raise typer.BadParameter(
            f"{folder}: expected a clone of stylegan2-ada-pytorch, found no training/networks.py"
        )
    import torch

    sys.path.insert(0, str(folder))
    networks = importlib.import_module("training.networks")
    torch.manual_seed(seed)
    generator = networks.Generator(
        z_dim=512,
        c_dim=0,
        w_dim=512,
        img_resolution=resolution,
        img_channels=3,
        mapping_kwargs={"num_layers": 8},
        synthesis_kwargs={
            "channel_base": channel_base,
            "channel_max": 512,
            "num_fp16_res": 4 if mixed_precision else 0,
            "conv_clamp": conv_clamp,
        },
    )
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.1)
    return generator.eval().requires_grad_(False)


def state_dict(generator: Any) -> dict[str, np.ndarray]:
    """Parameters and buffers by their official names."""
    return {name: tensor.cpu().numpy() for name, tensor in generator.state_dict().items()}


def synthesis(generator: Any, w: np.ndarray) -> Any:
    """w [batch, w_dim] ↦ images [batch, 3, height, width], a finished tensor on the device of the generator."""
    import torch

    device = next(generator.parameters()).device
    with torch.inference_mode():
        repeated = torch.from_numpy(w).to(device)[:, None].repeat(1, generator.num_ws, 1)
        images = generator.synthesis(repeated, noise_mode="const")
        if device.type == "cuda":
            torch.cuda.synchronize()
    return images


def has_cuda_extensions() -> bool:
    """Whether the official CUDA extensions are compiled and in use. Without them the official code is slower."""
    plugins = [
        getattr(sys.modules.get(f"torch_utils.ops.{name}"), "_plugin", None)
        for name in ("bias_act", "upfirdn2d")
    ]
    return all(plugin is not None for plugin in plugins)
