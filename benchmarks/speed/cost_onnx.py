"""A process that edits faces with exported ONNX models and imports neither JAX nor this library, for
`benchmarks.speed.cost`.

    python -m benchmarks.speed.cost_onnx MODELS 16
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.speed.cost_parts import print_parts


def main(folder: Path, count: int) -> None:
    """Edit `count` faces, one after the other."""
    start = time.perf_counter()
    import numpy as np  # the time of the imports is measured
    import onnxruntime

    imported = time.perf_counter()
    about = json.loads((folder / "models.json").read_text())
    models = {name: onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in about["models"]}
    names = [attribute["name"] for attribute in about["attributes"]]

    def draw(seed: int) -> Any:
        z = np.random.RandomState(seed).randn(1, 512).astype(np.float32)
        (w,) = models["mapping"].run(None, {"z": z, "truncation_psi": np.asarray(0.7, np.float32)})
        amounts = np.ones((1, len(names)), np.float32)
        which = np.asarray([name in ("age", "smile") for name in names])
        (edited,) = models["edit"].run(None, {"w": w, "amounts": amounts, "which": which})
        (image,) = models["synthesis"].run(None, {"latents": edited})
        return np.clip(127.5 * image + 127.5, 0, 255).astype(np.uint8)

    print_parts(start, imported, draw, count)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
