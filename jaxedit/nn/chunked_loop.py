"""The one loop of long optimizations: compiled chunks of steps, with progress, checks and checkpoints between them.

A chunk is a compiled `lax.scan` over some steps. Between chunks the host shows progress, looks for numbers that are not
finite, keeps the state, and asks whether to go on. A run that resumes from a state between two chunks ends in the same
bits as one that was never interrupted.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxedit.errors import CheckpointError
from jaxedit.parallel import gather
from jaxedit.storage.atomic import recover
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint
from jaxedit.storage.leftovers import sweep
from jaxedit.storage.paths import as_path

State = TypeVar("State")
History = dict[str, np.ndarray]
"""Curves by name, on the host; the first dimension is that of steps or chunks."""


class Snapshot(NamedTuple):
    """A run between two chunks."""

    step: int
    """Steps that have been taken."""
    state: Any
    history: History


@runtime_checkable
class Keeper(Protocol):
    """Where a run keeps its state between chunks."""

    def load(self, state: Any) -> Snapshot | None:
        """What an interrupted run left; None if there is nothing. `state` is the initial one, for its structure."""

    def save(self, snapshot: Snapshot) -> None:
        """Keep a snapshot instead of the last one."""


class ChunkedLoop(NamedTuple):
    """What a loop needs besides its chunk and its state."""

    num_steps: int
    steps_per_chunk: int
    name: str
    """What the progress bar says."""
    progress: bool = True
    describe: Callable[[History], Mapping[str, str]] = lambda history: {}
    """What the bar shows of the curves of a chunk, such as its last loss."""
    check: Callable[[int, History], None] = lambda step, history: None
    """Raises if the curves of a chunk, which ended at `step`, show that the run has failed."""
    goes_on: Callable[[Any, int], bool] = lambda state, step: True
    """Whether a state needs more steps, asked before each chunk with the number of steps taken."""


def run_chunks(
    chunk: Callable[[Any, int, int], tuple[Any, Mapping[str, Any]]],
    state: State,
    loop: ChunkedLoop,
    keeper: Keeper | None = None,
) -> tuple[State, History]:
    """Run a loop to its end.

    Args:
        chunk: (state, steps taken, number of steps) → (state, curves). The last chunk may be shorter. The first
            dimension of each curve is that of steps, or has length one for what is measured once a chunk. It is called
            outside of `jax.jit` and calls a compiled function.
        state: initial state, any pytree; a NamedTuple reads best.
        loop: number of steps, length of chunks, what is shown and checked.
        keeper: keeps the state between chunks, and says where an interrupted run was.

    Returns:
        The last state, and the curves of the whole run.
    """
    found = keeper.load(state) if keeper is not None else None
    step, history = 0, History()
    if found is not None:
        step, state, history = found
    with tqdm(
        total=loop.num_steps, initial=step, desc=loop.name, unit="step", disable=not loop.progress
    ) as bar:
        while step < loop.num_steps and loop.goes_on(state, step):
            length = min(loop.steps_per_chunk, loop.num_steps - step)
            state, curves = chunk(state, step, length)
            kept = {name: np.asarray(values) for name, values in gather(dict(curves)).items()}
            step += length
            history = {
                name: np.concatenate([history[name], values]) if name in history else values
                for name, values in kept.items()
            }
            loop.check(step, kept)
            if keeper is not None:
                keeper.save(Snapshot(step, state, history))
            bar.set_postfix(loop.describe(kept), refresh=False)
            bar.update(length)
    return state, history


class CheckpointKeeper:
    """Keeps a run in a checkpoint folder.

    Args:
        folder: the checkpoint folder.
        kind: what runs, such as "axes-training".
        identity: settings and fingerprints of the data, JSON-serializable: a state goes on only with the same.

    Raises:
        CheckpointError: on `load`, if the folder holds a run with other settings or other data, or is damaged.
        OutputError: on `save`, if the folder cannot be written.
    """

    def __init__(self, folder: str | Path, *, kind: str, identity: Mapping[str, Any]) -> None:
        self.folder, self.kind, self.identity = as_path(folder), kind, dict(identity)

    def load(self, state: Any) -> Snapshot | None:
        """The snapshot in the folder; None if there is no folder. What an interrupted save left is removed."""
        recover(self.folder)
        sweep(self.folder)
        if not self.folder.exists():
            return None
        config, arrays = load_checkpoint(self.folder, kind=self.kind)
        for name, expected in self.identity.items():
            if config.get(name) != expected:
                raise CheckpointError(
                    f"{self.folder}: holds a run with another {name}: expected {expected}, found "
                    f"{config.get(name)}; remove it or give another folder"
                )
        leaves, structure = jax.tree.flatten(state)
        stored = arrays.get("state", {})
        found = [stored.get(f"{index:04d}") for index in range(len(leaves))]
        if "step" not in config or any(
            array is None or array.shape != np.shape(leaf) for array, leaf in zip(found, leaves, strict=True)
        ):
            raise CheckpointError(
                f"{self.folder}: does not fit this version's runs; remove it or give another folder"
            )
        return Snapshot(
            int(config["step"]),
            jax.tree.unflatten(structure, [jnp.asarray(array) for array in found]),
            dict(arrays.get("history", {})),
        )

    def save(self, snapshot: Snapshot) -> None:
        """Write the folder anew; it appears when it is whole."""
        leaves = gather(jax.tree.leaves(snapshot.state))
        arrays = {
            "state": {f"{index:04d}": leaf for index, leaf in enumerate(leaves)},
            "history": dict(snapshot.history),
        }
        save_checkpoint(
            self.folder, kind=self.kind, config={**self.identity, "step": snapshot.step}, arrays=arrays
        )
