"""Mean of W, for files that do not hold it."""

from typing import Any

import numpy as np

_SAMPLES = 65_536
_SEED = 0
_BATCH = 4096


def mean_w(mapping: dict[str, Any], *, num_samples: int = _SAMPLES, seed: int = _SEED) -> np.ndarray:
    """Mean of W, the center of the truncation trick.

    NumPy computes it in batches from a `RandomState` stream, so it is the same on every machine up to rounding.

    Args:
        mapping: the arrays of a mapping network in the converted form: `layers`, each with `weight` [in, out] and
            `bias` [out].
        num_samples: how many latents are drawn.
        seed: of the stream.

    Returns:
        float32 [w_dim].
    """
    random = np.random.RandomState(seed)
    layers = [mapping["layers"][str(i)] for i in range(len(mapping["layers"]))]
    total = np.zeros(layers[-1]["bias"].shape, np.float64)
    for start in range(0, num_samples, _BATCH):
        x = random.randn(min(_BATCH, num_samples - start), len(layers[0]["weight"])).astype(np.float32)
        x /= np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)
        for layer in layers:
            x = x @ layer["weight"] + layer["bias"]
            x = np.maximum(x, 0.2 * x) * np.float32(np.sqrt(2))
        total += x.sum(axis=0, dtype=np.float64)
    return (total / num_samples).astype(np.float32)
