"""Work divided over devices: one mesh with the axis `data`, over one process or many.

Arrays of a batch are divided along their first dimension; every device has all weights. All processes run the same
script and call the same functions in the same order. Each hands in the whole batch, model or dataset; this module takes
the rows that belong to the process's own devices.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxedit.errors import InputError, JaxeditError

DATA = "data"
"""The mesh's axis."""

Tree = TypeVar("Tree")


def initialize(
    coordinator_address: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Join the processes of a run. With one process, or when called again, it does nothing.

    Call it before anything that uses a device. Arguments that are left out are read from
    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID; if these are not set either, JAX itself finds the
    others on a TPU slice, under Slurm, Open MPI and Kubernetes.

    Args:
        coordinator_address: host and port of process 0, such as `10.0.0.1:8476`.
        num_processes: how many there are.
        process_id: this one's number, from 0.

    Raises:
        InputError: if the three contradict each other, only some are given, or JAX is already in use.
    """
    address = coordinator_address or os.environ.get("JAX_COORDINATOR_ADDRESS")
    count = _number("num_processes", num_processes, "JAX_NUM_PROCESSES")
    number = _number("process_id", process_id, "JAX_PROCESS_ID")
    given = {"coordinator_address": address, "num_processes": count, "process_id": number}
    missing = [name for name, value in given.items() if value is None]
    if count is not None and count < 1:
        raise InputError(f"num_processes: expected 1 or more, got {count}")
    if number is not None and not 0 <= number < (count or number + 1):
        raise InputError(f"process_id: expected 0…{count - 1 if count else '…'}, got {number}")
    if count == 1 or jax.distributed.is_initialized():
        return
    if 0 < len(missing) < len(given):
        raise InputError(
            f"{missing[0]}: expected coordinator_address, num_processes and process_id together, or none of them; "
            f"it is not given"
        )
    if address is not None and not address.rpartition(":")[2].isdigit():
        raise InputError(f"coordinator_address: expected HOST:PORT, got {address!r}")
    try:
        jax.distributed.initialize(address, count, number)
    except ValueError as error:
        # What JAX says where it finds no cluster to be part of.
        if address is None and "should be defined" in str(error):
            return
        raise InputError(f"could not join the other processes: {error}") from error
    except RuntimeError as error:
        raise InputError(f"could not join the other processes: {error}") from error


def _number(name: str, value: int | None, variable: str) -> int | None:
    if value is not None:
        return value
    text = os.environ.get(variable)
    try:
        return None if text is None else int(text)
    except ValueError:
        raise InputError(f"{name}: expected an int in {variable}, got {text!r}") from None


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh with the one axis `data`.

    Args:
        devices: by default all devices of all processes.

    Raises:
        InputError: if there is none, or one comes twice.

    Examples:
        >>> mesh = data_mesh(jax.devices()[:1])
        >>> mesh.axis_names, mesh.size
        (('data',), 1)
    """
    chosen = jax.devices() if devices is None else list(devices)
    if not chosen or len(set(chosen)) != len(chosen):
        raise InputError(f"devices: expected one or more, each once, got {chosen}")
    return Mesh(np.asarray(chosen), (DATA,), axis_types=(AxisType.Auto,))


def fitting_mesh(batch_size: int, per_process: int | None = None) -> Mesh:
    """A mesh over as many devices of each process as divide a batch.

    Args:
        batch_size: of each process.
        per_process: how many devices; by default the most that divide it.

    Raises:
        InputError: if there are fewer devices, or the batch is not a multiple of them.
    """
    available = jax.local_device_count()
    fitting = [n for n in range(1, available + 1) if batch_size % n == 0]
    count = max(fitting) if per_process is None else per_process
    if count not in fitting:
        raise InputError(
            f"devices: expected one of {', '.join(map(str, fitting))} for batches of {batch_size} "
            f"({available} are there), got {count}"
        )
    own: dict[int, list[jax.Device]] = {}
    for device in jax.devices():
        own.setdefault(device.process_index, []).append(device)
    return data_mesh([device for devices in own.values() for device in devices[:count]])


def local_part(mesh: Mesh) -> Mesh:
    """The mesh of those devices that belong to this process."""
    return data_mesh([d for d in mesh.devices.flat if d.process_index == jax.process_index()])


def processes_of(mesh: Mesh | None) -> int:
    """The number of processes whose devices a mesh holds: one, or all.

    Raises:
        InputError: if it has devices of others and not of all.
    """
    if mesh is None:
        return 1
    found = {device.process_index for device in mesh.devices.flat}
    if found == {jax.process_index()}:
        return 1
    if len(found) != jax.process_count():
        raise InputError(
            f"mesh: expected devices of this process or of all {jax.process_count()}, got those of {sorted(found)}"
        )
    return len(found)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The first dimension over all devices. With rows that only this process has, it is the sharding to give to
    `jax.make_array_from_process_local_data`."""
    return NamedSharding(mesh, PartitionSpec(mesh.axis_names))


def check_batch(name: str, size: int, mesh: Mesh) -> None:
    """Raise `InputError` unless a batch of this size can be divided over the mesh."""
    if size % mesh.size:
        raise InputError(f"{name}: expected a multiple of the {mesh.size} devices of the mesh, got {size}")


def shard_batch(batch: Tree, mesh: Mesh) -> Tree:
    """Place arrays on a mesh, each device its own rows.

    Args:
        batch: any pytree of arrays; the whole batch, the same on every process.
        mesh: of `data_mesh`.

    Raises:
        InputError: if an array's length is not a multiple of the number of devices.
    """
    for leaf in jax.tree.leaves(batch):
        if not np.ndim(leaf):
            raise InputError("batch: expected arrays of one dimension or more, got a scalar")
        check_batch("batch", len(leaf), mesh)
    return _placed(batch, batch_sharding(mesh))


def replicate(tree: Tree, mesh: Mesh) -> Tree:
    """Place arrays on a mesh, each device all of them: for a generator, axes, anything that is a pytree."""
    return _placed(tree, NamedSharding(mesh, PartitionSpec()))


def _placed(tree: Tree, sharding: NamedSharding) -> Tree:
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def one(leaf: Any) -> jax.Array:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(one, tree)


def gather(tree: Tree) -> Tree:
    """The whole arrays as NumPy, on every process."""

    def one(leaf: Any) -> np.ndarray:
        if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
            leaf = multihost_utils.process_allgather(leaf, tiled=True)
        return np.asarray(leaf)

    return jax.tree.map(one, tree)


def to_local(tree: Tree) -> Tree:
    """The whole arrays on the default device of every process, free to be used with any other."""
    return jax.tree.map(jnp.asarray, gather(tree))


def over_batch(function: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """`function(model, *batches)` so that each device runs it, as it is, on its own rows.

    `jax.jit` with arrays of `shard_batch` does the same if XLA can divide the program. XLA cannot divide synthesis on a
    CPU, where it is a loop over images, nor every classifier; this function divides any program. Wrap it in `jax.jit`.

    Args:
        function: of a model (any pytree) and batches. Each row of its results depends on the same row of the batches
            only.
        mesh: of `data_mesh`.

    Examples:
        >>> mesh = data_mesh(jax.devices()[:1])
        >>> scaled = jax.jit(over_batch(lambda scale, x: scale * x, mesh))
        >>> scaled(jnp.asarray(2.0), shard_batch(np.arange(4.0), mesh)).tolist()
        [0.0, 2.0, 4.0, 6.0]
    """
    rows = PartitionSpec(mesh.axis_names)

    def divided(model: Any, *batches: Any) -> Any:
        specs = (PartitionSpec(), *[rows] * len(batches))
        # Without the check: loops inside would have to say of each carried array whether it differs by device.
        mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=rows, check_vma=False)
        return mapped(model, *batches)

    return divided


@contextmanager
def all_or_none(what: str, num_processes: int) -> Iterator[None]:
    """A block that fails on all processes if it fails on one, so that none waits for a process that is gone.

    All processes wait for each other at its end.

    Args:
        what: the work of the block, for the message.
        num_processes: with 1, the block is alone.

    Raises:
        JaxeditError: on the others, where the block failed on one of them.
    """
    if num_processes == 1:
        yield
        return
    own = None
    try:
        yield
    except Exception as error:
        own = error
    failed = np.flatnonzero(stack_processes(np.asarray(own is not None, np.int32)))
    if own is not None:
        raise own
    if len(failed):
        raise JaxeditError(f"{what}: failed in process {failed[0]}, which says why")


def stack_processes(array: np.ndarray) -> np.ndarray:
    """The arrays of all processes, stacked by the number of the process; all have one shape and type."""
    return np.asarray(multihost_utils.process_allgather(array))


def from_first_process(tree: Tree) -> Tree:
    """The arrays of process 0, as NumPy, on all processes; each passes arrays of the same shapes and types."""
    return multihost_utils.broadcast_one_to_all(tree)
