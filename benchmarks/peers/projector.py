"""The official projector, imported from the user's clone of NVlabs' stylegan2-ada-pytorch.

The code of the clone runs unchanged, and none of it is part of this project. The projector normally downloads its
perceptual network, `vgg16.pt`. Here the user may give that file. By default the projector gets a TorchScript network
with the same interface and the VGG16 weights of jaxedit: the published LPIPS.
"""

import contextlib
import importlib
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import typer

from benchmarks.peers import stylegan2 as stylegan2_peer
from jaxedit.nn.lpips import LPIPS, SCALE, SHIFT

_VGG16_CONVS = (2, 2, 3, 3, 3)
"""Number of convolutions before each compared layer."""


def vgg16_torchscript(lpips: LPIPS | None = None) -> bytes:
    """A file like `vgg16.pt`: images [batch, 3, height, width] in [0, 255] ↦ vectors whose squared distance is LPIPS.

    Args:
        lpips: LPIPS with VGG16; by default the published weights.

    Returns:
        Content of a TorchScript file.
    """
    import torch

    lpips = lpips or LPIPS.from_pretrained("vgg16")

    class VGG16(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.groups = torch.nn.ModuleList()
            convs = iter(lpips.convs)
            for i, count in enumerate(_VGG16_CONVS):
                layers: list[torch.nn.Module] = [torch.nn.MaxPool2d(2)] if i else []
                for _ in range(count):
                    ours = next(convs)
                    weight = np.array(ours.weight[...], np.float32).transpose(3, 2, 0, 1)
                    conv = torch.nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
                    conv.weight.data = torch.from_numpy(weight.copy())
                    conv.bias.data = torch.from_numpy(np.array(ours.bias[...], np.float32))
                    layers += [conv, torch.nn.ReLU()]
                self.groups.append(torch.nn.Sequential(*layers))
            heads = [np.array(head[...], np.float32).reshape(1, -1, 1, 1) for head in lpips.heads]
            self.heads = torch.nn.ParameterList([torch.nn.Parameter(torch.from_numpy(h)) for h in heads])
            self.register_buffer("shift", torch.tensor(SHIFT).reshape(1, 3, 1, 1))
            self.register_buffer("scale", torch.tensor(SCALE).reshape(1, 3, 1, 1))

        def forward(self, images, resize_images: bool = False, return_lpips: bool = True):  # type: ignore[no-untyped-def]
            x = (images / 127.5 - 1 - self.shift) / self.scale
            compared = []
            for group, head in zip(self.groups, self.heads):  # noqa: B905  TorchScript knows no strict=
                x = group(x)
                unit = x * torch.rsqrt(x.square().sum(1, keepdim=True) + 1e-20)
                weighted = unit * torch.sqrt(head) / float(x.shape[2] * x.shape[3]) ** 0.5
                compared.append(weighted.flatten(1))
            return torch.cat(compared, 1)

    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(VGG16().eval().requires_grad_(False)), buffer)
    return buffer.getvalue()


def load() -> Any:
    """Import the official projector. `benchmarks.peers.stylegan2.load` must have run: it adds the clone to `sys.path`.

    Raises:
        typer.BadParameter: if the module cannot be imported.
    """
    try:
        return importlib.import_module("projector")
    except ImportError as error:
        raise typer.BadParameter(f"--peer: its projector cannot be imported: {error}") from error


def seconds_per_step(
    projector: Any, generator: Any, vgg16: Path | None, measured_steps: int, repeats: int
) -> list[float]:
    """Seconds per step of the official projector on one image, without its preparation.

    Each value is the difference in time between two runs with different numbers of steps.

    Args:
        projector: module of the official projector, from `load`.
        generator: official generator, on the device to use.
        vgg16: file of the perceptual network; by default that of `vgg16_torchscript`.
        measured_steps: difference in steps between the two runs.
        repeats: pairs of runs.
    """
    import torch

    device = next(generator.parameters()).device
    target = stylegan2_peer.synthesis(generator, np.zeros((1, 512), np.float32))[0].float()
    target = (target.clamp(-1, 1) * 127.5 + 127.5).clone()
    content = vgg16_torchscript() if vgg16 is None else vgg16.read_bytes()

    @contextlib.contextmanager
    def local_file(_: str) -> Iterator[io.BytesIO]:
        yield io.BytesIO(content)

    projector.dnnlib.util.open_url = local_file

    def run(num_steps: int) -> float:
        start = time.perf_counter()
        # Few samples of W: they belong to the preparation, which is not measured.
        projector.project(generator, target, num_steps=num_steps, w_avg_samples=1000, device=device)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    run(2)
    return [(run(2 + measured_steps) - run(2)) / measured_steps for _ in range(repeats)]


def peak_memory() -> float | None:
    """Peak GPU memory of PyTorch in bytes; None on a CPU."""
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
