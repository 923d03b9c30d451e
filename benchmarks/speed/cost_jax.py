"""A process that edits faces with this library.

    python -m benchmarks.speed.cost_jax 16

It prints one line of JSON: seconds of the parts, as `benchmarks.speed.cost` wants them.
"""

import json
import sys
import time

_NAME = "mobile-stylegan-ffhq"


def main(count: int) -> None:
    """Edit `count` faces, one after the other."""
    start = time.perf_counter()
    import jaxedit  # the time of the imports is measured
    from jaxedit.images import to_uint8
    from jaxedit.latents.seed_stream import w_of_seed

    imported = time.perf_counter()
    generator = jaxedit.load_generator(_NAME)
    axes = jaxedit.load_axes(_NAME, generator)
    loaded = time.perf_counter()

    def draw(seed: int) -> None:
        w = w_of_seed(generator, seed, truncation_psi=0.7)
        to_uint8(generator.synthesis(axes.edit(w, {"age": 1.0, "smile": 1.0}))).block_until_ready()

    draw(0)
    first = time.perf_counter()
    processor = time.process_time()
    for seed in range(1, count + 1):
        draw(seed)
    seconds = (time.perf_counter() - first) / count
    print(
        json.dumps(
            {
                "import": imported - start,
                "load": loaded - imported,
                "first": first - loaded,
                "seconds": seconds,
                "processor": (time.process_time() - processor) / count,
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
