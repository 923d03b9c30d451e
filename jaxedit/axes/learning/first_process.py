"""Checkpoints of a training over several processes: process 0 keeps them, all go on from them."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxedit.nn.chunked_loop import History, Keeper, Snapshot
from jaxedit.parallel import all_or_none, from_first_process


class FirstProcessKeeper:
    """Keeps a run with another keeper, on process 0 alone. Every process calls it, and all fail if process 0 fails.

    Args:
        keeper: reads and writes, on process 0.
        what: is kept, for the error of the other processes.
        num_processes: number of processes of the run.
        place: puts a state where the run needs it.
    """

    def __init__(
        self, keeper: Keeper, what: str, num_processes: int, place: Callable[[Any], Any] = lambda state: state
    ) -> None:
        self.keeper, self.what, self.num_processes, self.place = keeper, what, num_processes, place
        self.is_first = num_processes == 1 or jax.process_index() == 0

    def load(self, state: Any) -> Snapshot | None:
        """The snapshot of process 0, on every process."""
        found = None
        with all_or_none(self.what, self.num_processes):
            if self.is_first:
                found = self.keeper.load(state)
        if self.num_processes > 1:
            found = _shared(found, state)
        return None if found is None else found._replace(state=self.place(found.state))

    def save(self, snapshot: Snapshot) -> None:
        """Keep a snapshot on process 0."""
        with all_or_none(self.what, self.num_processes):
            if self.is_first:
                self.keeper.save(snapshot)


def _shared(found: Snapshot | None, state: Any) -> Snapshot | None:
    """What process 0 found. Arrays of the same shapes are exchanged, so the shapes go first."""
    names = sorted(found.history) if found is not None else []
    text = "\n".join(f"{name} {len(found.history[name])}" for name in names) if found is not None else ""
    step, size = from_first_process(np.asarray([-1 if found is None else found.step, len(text)], np.int32))
    if step < 0:
        return None
    letters = np.frombuffer(text.encode().ljust(int(size)), np.uint8)
    lengths = dict(line.split() for line in bytes(from_first_process(letters)).decode().splitlines())
    history: History = {
        name: found.history[name] if found is not None else np.zeros(int(length), np.float32)
        for name, length in lengths.items()
    }
    own = jax.tree.map(np.asarray, state if found is None else found.state)
    own, history = from_first_process((own, history))
    return Snapshot(int(step), own, history)
