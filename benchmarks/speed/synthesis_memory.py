"""A process whose peak memory `benchmarks.speed.synthesis` measures: one runtime computes a batch of StyleGAN2 twice.

python -m benchmarks.speed.synthesis_memory jaxedit path/to/stylegan2-ada-pytorch 1024 1
"""

import sys
from pathlib import Path

import numpy as np


def main(runtime: str, folder: str, resolution: int, batch: int) -> None:
    """Compute a batch twice with random weights. Only the measured runtime is imported.

    Args:
        runtime: "jaxedit" or "official PyTorch".
        folder: clone of stylegan2-ada-pytorch.
        resolution: 1024 or 256.
        batch: images in the batch.
    """
    z = np.random.RandomState(0).randn(batch, 512).astype(np.float32)
    channel_base = {1024: 32768, 256: 16384}[resolution]
    if runtime == "jaxedit":
        import jax

        from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
        from jaxedit.generators.stylegan2.initial import initial_params

        config = StyleGAN2Config.of_size(resolution, channel_base=channel_base)
        # Weights come from NumPy, as from a file: making them in JAX would count as memory of synthesis.
        shapes = jax.eval_shape(lambda: initial_params(config, jax.random.key(0)))
        some = np.random.RandomState(1).randn(100_000).astype(np.float32)
        generator = StyleGAN2(config, jax.tree.map(lambda leaf: np.resize(some, leaf.shape), shapes))
        for _ in range(2):
            jax.block_until_ready(generator.synthesis(generator.mapping(z)))
    else:
        import torch

        from benchmarks.peers import stylegan2 as stylegan2_peer

        generator = stylegan2_peer.load(
            Path(folder),
            resolution=resolution,
            channel_base=channel_base,
            mixed_precision=False,
            conv_clamp=None,
        )
        with torch.inference_mode():
            w = generator.mapping(torch.from_numpy(z), None)[:, 0].numpy()
        for _ in range(2):
            stylegan2_peer.synthesis(generator, w)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
