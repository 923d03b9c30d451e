from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import CheckpointError
from jaxedit.nn.chunked_loop import CheckpointKeeper, ChunkedLoop, run_chunks


class Walk(NamedTuple):
    position: jax.Array
    key: jax.Array


START = Walk(jnp.zeros(3), jax.random.key_data(jax.random.key(0)))


@jax.jit
def _two(state: Walk, steps: jax.Array) -> tuple[Walk, jax.Array]:
    def step(state: Walk, number: jax.Array) -> tuple[Walk, jax.Array]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), number)
        moved = state.position + jax.random.normal(key, (3,))
        return state._replace(position=moved), moved.sum()

    return jax.lax.scan(step, state, steps)


def chunk(state, step, length):
    state, sums = _two(state, step + jnp.arange(length))
    return state, {"sum": sums, "end": sums[-1:]}


def loop(**changes):
    return ChunkedLoop(num_steps=7, steps_per_chunk=3, name="walk", progress=False)._replace(**changes)


def keeper(folder, seed=0):
    return CheckpointKeeper(folder, kind="walk", identity={"seed": seed})


def test_curves_are_those_of_all_steps():
    state, history = run_chunks(chunk, START, loop())
    assert history["sum"].shape == (7,)
    assert history["end"].shape == (3,)
    np.testing.assert_array_equal(history["end"], history["sum"][[2, 5, 6]])
    np.testing.assert_allclose(state.position.sum(), history["sum"][-1], rtol=1e-6)


def test_an_interrupted_run_ends_in_the_same_bits(tmp_path):
    whole, curves = run_chunks(chunk, START, loop())

    def dies_at_six(step, history):
        if step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_chunks(chunk, START, loop(check=dies_at_six), keeper(tmp_path / "k"))
    starts = []

    def counted(state, step, length):
        starts.append(step)
        return chunk(state, step, length)

    resumed, again = run_chunks(counted, START, loop(), keeper(tmp_path / "k"))
    assert starts == [3, 6]
    np.testing.assert_array_equal(resumed.position, whole.position)
    for name, values in curves.items():
        np.testing.assert_array_equal(again[name], values)


def test_a_run_stops_where_nothing_moves():
    _, history = run_chunks(chunk, START, loop(goes_on=lambda state, step: step < 3))
    assert history["sum"].shape == (3,)


def test_another_run_is_refused(tmp_path):
    run_chunks(chunk, START, loop(), keeper(tmp_path / "k"))
    with pytest.raises(CheckpointError, match=r"another seed: expected 1, found 0; remove it"):
        run_chunks(chunk, START, loop(), keeper(tmp_path / "k", seed=1))
    other = START._replace(position=jnp.zeros(4))
    with pytest.raises(CheckpointError, match="does not fit this version's runs"):
        run_chunks(chunk, other, loop(), keeper(tmp_path / "k"))
