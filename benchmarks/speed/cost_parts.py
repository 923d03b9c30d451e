"""Times of a process that draws images. It imports the standard library alone, so that it costs no runtime anything."""

import json
import time
from collections.abc import Callable
from typing import Any


def print_parts(start: float, imported: float, draw: Callable[[int], Any], count: int) -> None:
    """Draw images, and print seconds of the parts of the process as one line of JSON.

    Call it when all is loaded.

    Args:
        start: `time.perf_counter()` before the imports.
        imported: the same after them.
        draw: draws and waits for the face of a seed.
        count: images after the first one.
    """
    loaded = time.perf_counter()
    draw(0)
    first = time.perf_counter()
    processor = time.process_time()
    for seed in range(1, count + 1):
        draw(seed)
    parts = {
        "import": imported - start,
        "load": loaded - imported,
        "first": first - loaded,
        "seconds": (time.perf_counter() - first) / count,
        "processor": (time.process_time() - processor) / count,
    }
    print(json.dumps(parts))
