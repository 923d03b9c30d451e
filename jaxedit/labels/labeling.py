"""Labeling: seeds → z → w → images → attribute values, shard by shard, resumable.

Over several devices a batch is divided; over several processes it is the shards, which are turned out without any word
between the processes. The number of a latent fixes it, so who makes it does not matter.
"""

import dataclasses
import functools
import io
import itertools
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float
from tqdm.auto import tqdm

from jaxedit.attributes.classifier import AttributeClassifier, as_argument
from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator
from jaxedit.labels.labels_file import Labels, save_labels
from jaxedit.latents.seed_stream import fingerprint, z_batches
from jaxedit.parallel import (
    all_or_none,
    check_batch,
    local_part,
    over_batch,
    processes_of,
    replicate,
    shard_batch,
    stack_processes,
)
from jaxedit.storage.atomic import write_atomically

LABELS_FILE = "labels.npz"
_JOB_FILE = "job.json"


@dataclasses.dataclass(frozen=True)
class LabelingJob:
    """What a folder of labels is made with. A folder goes on only with the job it was begun with.

    The number of latents is no part of it: a folder can be extended.

    Attributes:
        generator: name of the generator.
        seed: of the stream of latents.
        batch_size: latents rendered and classified at once.
        shard_size: latents of one file; a killed run loses at most one such file's work.
        attribute_names: of the classifier.
        attribute_units: of the classifier.
    """

    generator: str
    seed: int
    batch_size: int
    shard_size: int
    attribute_names: tuple[str, ...]
    attribute_units: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("batch_size", "shard_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if self.shard_size % self.batch_size:
            raise InputError(
                f"shard_size: expected a multiple of the batch size {self.batch_size}, got {self.shard_size}"
            )


_Model = tuple[Generator, Callable[[Array], Array]]


def _label_rows(
    model: _Model, z: Float[Array, "batch z_dim"]
) -> tuple[Float[Array, "batch w_dim"], Float[Array, "batch num_attributes"]]:
    generator, classifier = model
    w = generator.mapping(z)
    return w, classifier(generator.synthesis(w))


@functools.partial(jax.jit, static_argnames="mesh")
def _label_batch(
    model: _Model, z: Float[Array, "batch z_dim"], *, mesh: Mesh | None
) -> tuple[Float[Array, "batch w_dim"], Float[Array, "batch num_attributes"]]:
    return _label_rows(model, z) if mesh is None else over_batch(_label_rows, mesh)(model, z)


def label(
    generator: Generator,
    classifier: AttributeClassifier,
    out: str | Path,
    *,
    num_samples: int,
    seed: int = 0,
    batch_size: int = 8,
    shard_size: int = 256,
    generator_name: str,
    progress: bool = True,
    mesh: Mesh | None = None,
) -> Labels:
    """Label the first latents of a seed's stream.

    Rendering, classifying and all between are one compiled function; memory is constant in `num_samples`. Each shard
    is written under a temporary name and renamed. A run that was killed goes on after its last whole shard, with the
    same batches, and ends with the same files as one that was not. A folder that is complete can be extended by
    asking for more.

    With a mesh over several processes, every process calls this with the same arguments; process p of n makes each
    n-th shard from shard p on, on its own devices. Their folders may be one that they share, or one each: in the
    latter case the result is in that of process 0. The labels do not depend on the mesh, up to rounding.

    Args:
        generator: any generator that is a pytree.
        classifier: any classifier that is a pytree, or a pure function with names.
        out: the folder; `labels.npz` in it is the result.
        num_samples: how many latents.
        seed: of the stream (see `sample_z`).
        batch_size: latents at once: 8 suits a CPU, 32 and more an accelerator.
        shard_size: latents of one file, a multiple of `batch_size`.
        generator_name: is kept with the labels.
        progress: show a progress bar with the throughput.
        mesh: over whose devices each batch is divided (see `data_mesh`); without one, the default device. A process
            divides its batches over its own devices of the mesh, so `batch_size` is a multiple of their number. Each
            device renders and classifies its rows by itself: the classifier sees no more than these.

    Returns:
        The labels, all of them on every process, which are in `out/labels.npz` too.

    Raises:
        InputError: if a number does not fit, if the folder holds another job, or the classifier gives NaN.
        OutputError: if the folder cannot be written.
        JaxeditError: if another process failed.
    """
    if num_samples < 1:
        raise InputError(f"num_samples: expected 1 or more, got {num_samples}")
    units = tuple(getattr(classifier, "units", ("",) * len(classifier.names)))
    job = LabelingJob(generator_name, seed, batch_size, shard_size, tuple(classifier.names), units)
    processes = processes_of(mesh)
    own_mesh = None if mesh is None else local_part(mesh)
    process = 0 if processes == 1 else jax.process_index()
    out = Path(out)
    model: _Model = (generator, as_argument(classifier))
    if own_mesh is not None:
        check_batch("batch_size", batch_size, own_mesh)
        model = replicate(model, own_mesh)
    # In turn: where the folder is shared, the first one makes it and the others find it.
    for turn in range(processes):
        with all_or_none("labeling", processes):
            if turn == process:
                _begin_or_resume(job, out)
    sizes = [min(shard_size, num_samples - start) for start in range(0, num_samples, shard_size)]
    own_sizes = sizes[process::processes]
    shards = []
    is_quiet = not progress or process > 0
    with (
        all_or_none("labeling", processes),
        tqdm(total=sum(own_sizes), desc="labeling", unit="image", disable=is_quiet, smoothing=0.05) as bar,
    ):
        for i, rows in zip(range(process, len(sizes), processes), own_sizes, strict=True):
            start = i * shard_size
            path = out / "shards" / f"{start:09d}.npz"
            shard = _read_shard(path, rows, len(job.attribute_names))
            if shard is None:
                shard = _label_shard(model, job, start, start + rows, bar, own_mesh)
                _write_shard(path, shard)
            else:
                if not bar.disable:
                    bar.initial += rows  # keeps the throughput that of the work done now
                bar.update(rows)
            shards.append(shard)
    if processes > 1:
        shards = _exchanged(shards, sizes, job, processes)
    labels = Labels(
        generator=generator_name,
        seed=seed,
        values=np.concatenate([shard["values"] for shard in shards]),
        attribute_names=job.attribute_names,
        attribute_units=job.attribute_units,
        z_fingerprint=np.concatenate([shard["z_fingerprint"] for shard in shards]),
        w_fingerprint=np.concatenate([shard["w_fingerprint"] for shard in shards]),
    )
    with all_or_none("labeling", processes):
        if process == 0:
            save_labels(labels, out / LABELS_FILE)
    return labels


def _begin_or_resume(job: LabelingJob, out: Path) -> None:
    path = out / _JOB_FILE
    wanted = json.loads(json.dumps(dataclasses.asdict(job)))
    if path.is_file():
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: damaged: {error}") from error
        if found != wanted:
            differing = [key for key in wanted if found.get(key) != wanted[key]] or ["(unknown keys)"]
            raise InputError(
                f"{out}: holds labels of another job: {differing[0]} is {found.get(differing[0])}, "
                f"expected {wanted.get(differing[0])}; give another folder"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: expected a new or empty folder, or one with labels to go on with")
    else:
        write_atomically(path, (json.dumps(wanted, indent=2) + "\n").encode())


def _label_shard(
    model: _Model, job: LabelingJob, start: int, stop: int, bar: tqdm, mesh: Mesh | None
) -> dict[str, np.ndarray]:
    parts: dict[str, list[np.ndarray]] = {"values": [], "z_fingerprint": [], "w_fingerprint": []}
    pending = None
    # The next batch is under way on the device while the last one's results are fetched.
    batches = z_batches(job.seed, stop, model[0].z_dim, batch_size=job.batch_size, start=start)
    for first, z in itertools.chain(batches, [(stop, None)]):
        running = None
        if z is not None:
            placed = jnp.asarray(z) if mesh is None else shard_batch(z, mesh)
            running = first, z, _label_batch(model, placed, mesh=mesh)
        if pending is not None:
            began, own_z, (w, values) = pending
            rows = min(job.batch_size, stop - began)
            values = np.asarray(values, np.float32)[:rows]
            if not np.isfinite(values).all():
                row, column = np.argwhere(~np.isfinite(values))[0]
                raise InputError(
                    f"classifier: expected finite values, got {values[row, column]} for "
                    f"{job.attribute_names[column]} of latent {began + row}"
                )
            parts["values"].append(values)
            parts["z_fingerprint"].append(fingerprint(own_z)[:rows])
            parts["w_fingerprint"].append(fingerprint(np.asarray(w))[:rows])
            bar.update(rows)
        pending = running
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _exchanged(
    own: list[dict[str, np.ndarray]], sizes: list[int], job: LabelingJob, processes: int
) -> list[dict[str, np.ndarray]]:
    """All shards, from those that each process made."""
    # Of one shape on all processes, as an exchange demands: shards of full size, as many as the first process has.
    columns = len(job.attribute_names) + 2
    table = np.zeros((-(-len(sizes) // processes), job.shard_size, columns), np.float32)
    for position, shard in enumerate(own):
        rows = np.column_stack([shard["values"], shard["z_fingerprint"], shard["w_fingerprint"]])
        table[position, : len(rows)] = rows
    tables = stack_processes(table)
    shards = []
    for i, size in enumerate(sizes):
        rows = tables[i % processes, i // processes, :size]
        shards.append({"values": rows[:, :-2], "z_fingerprint": rows[:, -2], "w_fingerprint": rows[:, -1]})
    return shards


def _write_shard(path: Path, shard: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(
        buffer,
        values=shard["values"],
        z_fingerprint=shard["z_fingerprint"],
        w_fingerprint=shard["w_fingerprint"],
    )
    write_atomically(path, buffer.getvalue())


def _read_shard(path: Path, rows: int, columns: int) -> dict[str, np.ndarray] | None:
    """A shard that an earlier run wrote; None if it is absent or damaged, and then it is made again."""
    try:
        with np.load(path, allow_pickle=False) as file:
            shard = {name: file[name] for name in ("values", "z_fingerprint", "w_fingerprint")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return shard if shard["values"].shape == (rows, columns) else None
