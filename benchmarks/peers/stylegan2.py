"""The official PyTorch generator, out of a folder that the user names: a clone of NVlabs' stylegan2-ada-pytorch.

Its code runs as it is; on a CPU by its own reference operations, on a GPU with its CUDA extensions, which it compiles
at the first call. Nothing of it belongs to this project. JAX is not imported here, so that a process of the peer alone
can be weighed.
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
    """An official generator of random weights, and with non-zero noise.

    Args:
        folder: the clone.
        resolution: of the images.
        channel_base: min(channel_base / resolution, 512) channels at each resolution.
        mixed_precision: float16 in the four highest resolutions, as the official training does; float32 otherwise.
        conv_clamp: where layers clip their output.
        seed: of the weights.

    Raises:
        typer.BadParameter: if the folder is no such clone.
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
    """Its parameters and buffers under their official names."""
    return {name: tensor.cpu().numpy() for name, tensor in generator.state_dict().items()}


def synthesis(generator: Any, w: np.ndarray) -> Any:
    """w [batch, w_dim] ↦ images [batch, 3, height, width], a tensor on the generator's device, waited for."""
    import torch

    device = next(generator.parameters()).device
    with torch.inference_mode():
        repeated = torch.from_numpy(w).to(device)[:, None].repeat(1, generator.num_ws, 1)
        images = generator.synthesis(repeated, noise_mode="const")
        if device.type == "cuda":
            torch.cuda.synchronize()
    return images
