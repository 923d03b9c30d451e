"""The official projector, out of a folder that the user names: a clone of NVlabs' stylegan2-ada-pytorch.

Its code runs as it is. The perceptual network that it downloads (`vgg16.pt`) may be given as a file; without one, it
gets a TorchScript network of the same interface made of this library's VGG16 weights: the published LPIPS, in the same
operations. Nothing of the peer belongs to this project.
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
from jaxedit.inversion.lpips import _NETWORKS, _SCALE, _SHIFT, LPIPS
from jaxedit.inversion.lpips_pretrained import load_lpips


def vgg16_torchscript(lpips: LPIPS | None = None) -> bytes:
    """A file like `vgg16.pt`: images [batch, 3, height, width] in 0…255 ↦ vectors, whose squared distance is LPIPS.

    Args:
        lpips: whose weights, of VGG16; fetched if None.
    """
    import torch

    lpips = lpips or load_lpips("vgg16")
    counts = _NETWORKS["vgg16"].convs

    class VGG16(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.groups = torch.nn.ModuleList()
            convs = iter(lpips.convs)
            for i, count in enumerate(counts):
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
            self.register_buffer("shift", torch.tensor(_SHIFT).reshape(1, 3, 1, 1))
            self.register_buffer("scale", torch.tensor(_SCALE).reshape(1, 3, 1, 1))

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
    """The module of the peer's projector; its folder is on the path of modules, where `stylegan2_peer.load` puts it.

    Raises:
        typer.BadParameter: if it cannot be imported.
    """
    try:
        return importlib.import_module("projector")
    except ImportError as error:
        raise typer.BadParameter(f"--peer: its projector cannot be imported: {error}") from error


def seconds_per_step(
    projector: Any, generator: Any, vgg16: Path | None, measured_steps: int, repeats: int
) -> list[float]:
    """The official projector on one image, `repeats` times; what it prepares does not count.

    Args:
        projector: of `load`.
        generator: of `stylegan2_peer.load`, on the device where it is to run.
        vgg16: the perceptual network; ours under its interface if None.
        measured_steps: how many more steps the longer of two runs takes; the difference of their times counts.
        repeats: how many pairs.
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
        # Few latents to measure W with: that is prepared once, and only steps are compared.
        projector.project(generator, target, num_steps=num_steps, w_avg_samples=1000, device=device)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    run(2)
    return [(run(2 + measured_steps) - run(2)) / measured_steps for _ in range(repeats)]


def peak_memory() -> float | None:
    """Bytes that PyTorch took at most on the GPU; None on a CPU."""
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
