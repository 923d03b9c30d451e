"""Labeling: seed → z → w → images → attribute values, shard by shard, resumable.

The number of a latent in the seed's stream fixes the latent, so it does not matter which device or process labels it.
Over several devices each batch is divided. Over several processes the shards are dealt out by their numbers, and the
processes exchange nothing until all shards are made.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float
from tqdm.auto import tqdm

from jaxedit.attributes.classifier import AttributeClassifier, as_argument
from jaxedit.attributes.user_classifier import check_classifier
from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator
from jaxedit.labels.config import LabelingConfig
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
from jaxedit.storage.arrays import ArrayOf
from jaxedit.storage.runs import RunFolder

LABELS_FILE = "labels.npz"
"""The result in a folder of labels."""

RUN_KIND = "labels"
"""Kind of the run folder."""

_Model = tuple[Generator, Callable[[Array], Array]]


class _Rows(NamedTuple):
    """What is kept of some latents: a batch or a shard."""

    values: Float[np.ndarray, "rows num_attributes"]
    z_fingerprint: Float[np.ndarray, " rows"]
    w_fingerprint: Float[np.ndarray, " rows"]


class _Task(NamedTuple):
    """What this process labels with."""

    model: _Model
    config: LabelingConfig
    attribute_names: tuple[str, ...]
    mesh: Mesh | None
    """Of this process's own devices."""


def label(
    generator: Generator,
    classifier: AttributeClassifier,
    out: str | Path,
    config: LabelingConfig,
    *,
    generator_name: str,
    mesh: Mesh | None = None,
    progress: bool = True,
) -> Labels:
    """Label the first latents of a seed's stream.

    Rendering, classifying and all between are one compiled function; memory is constant in the number of latents.
    Interrupted runs resume after their last whole shard, with the same batches, and end with the same files.

    With a mesh over several processes, every process calls this with the same arguments. Process p of n makes each
    n-th shard from shard p on, on its own devices. The processes may share one folder or have one each; in the latter
    case the result is in the folder of process 0. The labels do not depend on the mesh, up to rounding.

    Args:
        generator: any generator that is a pytree.
        classifier: any classifier that is a pytree, or a pure function with names.
        out: the folder: new, or of an earlier run. The result is `labels.npz` in it.
        config: how many latents, of which seed, in which batches and shards.
        generator_name: kept with the labels.
        mesh: over whose devices each batch is divided (see `data_mesh`); without one, the default device. A process
            divides its batches over its own devices of the mesh, so the batch size is a multiple of their number.
            Each device renders and classifies its rows by itself: the classifier sees no more than these.
        progress: show a progress bar with the throughput.

    Returns:
        All labels, on every process.

    Raises:
        InputError: if the batches do not fit the mesh, the folder holds something else or labels that were made
            otherwise, or the classifier gives NaN or infinity.
        OutputError: if the folder cannot be written.
        JaxeditError: if another process failed.

    Examples:
        A small random generator and a classifier of one's own:

        >>> import tempfile
        >>> import jax
        >>> from jaxedit.generators.stylegan2 import StyleGAN2, StyleGAN2Config
        >>> from jaxedit.generators.stylegan2.initial import initial_params
        >>> config = StyleGAN2Config(z_dim=8, w_dim=8, mapping_layers=2, resolution=16, channels=(8, 8, 8))
        >>> generator = StyleGAN2(config, initial_params(config, jax.random.key(0)))
        >>> class Brightness:
        ...     names = ("brightness",)
        ...     units = ("mean of [-1, 1]",)
        ...     def __call__(self, images):
        ...         return images.mean((1, 2, 3))[:, None]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     request = LabelingConfig(num_samples=12, batch_size=4, shard_size=8)
        ...     labels = label(generator, Brightness(), folder, request, generator_name="small", progress=False)
        >>> labels.values.shape, labels.attribute_names
        ((12, 1), ('brightness',))
    """
    check_classifier(classifier, generator)
    names = tuple(classifier.names)
    units = tuple(getattr(classifier, "units", ("",) * len(names)))
    processes = processes_of(mesh)
    process = 0 if processes == 1 else jax.process_index()
    own_mesh = None if mesh is None else local_part(mesh)
    model: _Model = (generator, as_argument(classifier))
    if own_mesh is not None:
        check_batch("batch_size", config.batch_size, own_mesh)
        model = replicate(model, own_mesh)
    # The number of latents is no part of the request: a folder can be extended.
    request = {
        "generator": generator_name,
        "seed": config.seed,
        "batch_size": config.batch_size,
        "shard_size": config.shard_size,
        "attribute_names": names,
        "attribute_units": units,
    }
    # In turn: where the folder is shared, the first one makes it and the others find it.
    for turn in range(processes):
        with all_or_none("labeling", processes):
            if turn == process:
                run = RunFolder.open(out, kind=RUN_KIND, request=request)
    task = _Task(model, config, names, own_mesh)
    with all_or_none("labeling", processes):
        shards = _make_shards(task, run, config.shards[process::processes], progress and process == 0)
    if processes > 1:
        shards = _exchanged(shards, config, len(names), processes)
    rows = _joined(shards)
    labels = Labels(
        generator=generator_name,
        seed=config.seed,
        values=rows.values,
        attribute_names=names,
        attribute_units=units,
        z_fingerprint=rows.z_fingerprint,
        w_fingerprint=rows.w_fingerprint,
    )
    with all_or_none("labeling", processes):
        if process == 0:
            save_labels(labels, run.path / LABELS_FILE)
    return labels


def _make_shards(task: _Task, run: RunFolder, shards: list[range], progress: bool) -> list[_Rows]:
    """Shards of the folder; those that are missing or damaged are made."""
    done = []
    total = sum(map(len, shards))
    with tqdm(total=total, desc="labeling", unit="image", disable=not progress, smoothing=0.05) as bar:
        for numbers in shards:
            unit = f"shards/{numbers.start:09d}"
            rows = _read_shard(run, unit, (len(numbers), len(task.attribute_names)))
            if rows is None:
                rows = _joined(list(_label_batches(task, numbers, bar)))
                run.write(unit, rows._asdict())
            else:
                if not bar.disable:
                    bar.initial += len(numbers)  # keeps the throughput that of the work done now
                bar.update(len(numbers))
            done.append(rows)
    return done


def _read_shard(run: RunFolder, unit: str, shape: tuple[int, int]) -> _Rows | None:
    """A shard that an earlier run wrote; None if it is missing, damaged, or has another number of latents."""
    rows = {"z_fingerprint": ArrayOf("f", shape[:1], is_finite=True)}
    rows |= {"values": ArrayOf("f", shape, is_finite=True), "w_fingerprint": rows["z_fingerprint"]}
    found = run.read(unit, arrays=rows)
    if found is None:
        return None
    return _Rows(*(found[name] for name in _Rows._fields))


def _label_batches(task: _Task, numbers: range, bar: tqdm) -> Iterator[_Rows]:
    """The batches of a shard. The device works on the next batch while the results of the last one are fetched."""
    batch_size, width = task.config.batch_size, task.model[0].z_dim
    batches = z_batches(task.config.seed, numbers.stop, width, batch_size=batch_size, start=numbers.start)
    running = None
    for start, z in itertools.chain(batches, [(numbers.stop, None)]):
        finished = running
        if z is not None:
            placed = jnp.asarray(z) if task.mesh is None else shard_batch(z, task.mesh)
            running = start, z, _label_batch(task.model, placed, mesh=task.mesh)
        if finished is not None:
            first, own_z, (w, values) = finished
            count = min(batch_size, numbers.stop - first)
            values = np.asarray(values, np.float32)[:count]
            _check_finite(values, task.attribute_names, first)
            yield _Rows(values, fingerprint(own_z)[:count], fingerprint(np.asarray(w))[:count])
            bar.update(count)


def _check_finite(values: np.ndarray, names: tuple[str, ...], first: int) -> None:
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"classifier: expected finite values, got {values[row, column]} for {names[column]} of latent "
            f"{first + row}"
        )


@functools.partial(jax.jit, static_argnames="mesh")
def _label_batch(
    model: _Model, z: Float[Array, "batch z_dim"], *, mesh: Mesh | None
) -> tuple[Float[Array, "batch w_dim"], Float[Array, "batch num_attributes"]]:
    return _label_rows(model, z) if mesh is None else over_batch(_label_rows, mesh)(model, z)


def _label_rows(
    model: _Model, z: Float[Array, "batch z_dim"]
) -> tuple[Float[Array, "batch w_dim"], Float[Array, "batch num_attributes"]]:
    generator, classifier = model
    w = generator.mapping(z)
    return w, classifier(generator.synthesis(w))


def _joined(parts: list[_Rows]) -> _Rows:
    return _Rows(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _exchanged(own: list[_Rows], config: LabelingConfig, num_attributes: int, processes: int) -> list[_Rows]:
    """All shards, from those that each process made."""
    shards = config.shards
    # An exchange demands one shape on all processes: shards of full size, as many as the first process has.
    table = np.zeros((-(-len(shards) // processes), config.shard_size, num_attributes + 2), np.float32)
    for position, rows in enumerate(own):
        table[position, : len(rows.values)] = np.column_stack(rows)
    tables = stack_processes(table)
    found = [tables[i % processes, i // processes, : len(numbers)] for i, numbers in enumerate(shards)]
    return [_Rows(rows[:, :-2], rows[:, -2], rows[:, -1]) for rows in found]
