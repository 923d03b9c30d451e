"""A process that edits faces with this library, for `benchmarks.speed.cost`.

python -m benchmarks.speed.cost_jax 16
"""

import sys
import time

from benchmarks.speed.cost_parts import print_parts

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

    def draw(seed: int) -> None:
        w = w_of_seed(generator, seed, truncation_psi=0.7)
        to_uint8(generator.synthesis(axes.edit(w, {"age": 1.0, "smile": 1.0}))).block_until_ready()

    print_parts(start, imported, draw, count)


if __name__ == "__main__":
    main(int(sys.argv[1]))
