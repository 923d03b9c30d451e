"""Learning the axes from a labelled dataset: data in, `AttributeAxes` out."""

import dataclasses
import functools
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxedit.axes.attribute_axes import AttributeAxes, from_named_leaves, named_leaves
from jaxedit.axes.config import AxesConfig
from jaxedit.axes.learning.training import (
    HELD_OUT_NAMES,
    LOSS_NAMES,
    SWEEPABLE,
    Hyperparameters,
    Program,
    TrainingData,
    TrainingState,
    initialize,
    initialize_sweep,
    run_chunk,
    run_chunk_sweep,
)
from jaxedit.axes.report import AxesReport, fit_probes, held_out_report
from jaxedit.errors import CheckpointError, InputError, JaxeditError
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.quantile_transform import QuantileTransform, fit_quantile_transform
from jaxedit.latents.pca import PCA
from jaxedit.parallel import (
    all_or_none,
    batch_sharding,
    check_batch,
    data_mesh,
    from_first_process,
    processes_of,
    replicate,
    to_local,
)
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint

_LARGEST_LABEL = 4.0
"""Standard deviations. Of a million normal numbers some sixty lie beyond."""


def learn_axes(
    dataset: LabelledLatents,
    pca: PCA,
    config: AxesConfig | None = None,
    *,
    checkpoint_dir: str | Path | None = None,
    progress: bool = True,
    mesh: Mesh | None = None,
) -> AttributeAxes:
    """Learn attribute axes.

    Args:
        dataset: latents and raw attribute values. The first axes are its attributes, in order. Over several processes
            each holds the whole dataset.
        pca: of W; its `num_components` is the number of axes.
        config: settings; by default `AxesConfig()`.
        checkpoint_dir: where to keep the training state after each chunk. A run that was killed goes on from there
            and ends in the same bits as one that was not (on the same machine).
        progress: whether to show a bar.
        mesh: over whose devices each batch is divided (see `data_mesh`); without one, the default device. The axes are
            those of one device up to rounding. Over several processes all call this, and process 0 keeps
            `checkpoint_dir`.

    Raises:
        InputError: if dataset, PCA and settings do not fit together, or the batch is not a multiple of the devices.
        CheckpointError: if `checkpoint_dir` holds a training with other settings or other data.
        JaxeditError: if the training diverges, or another process failed.
    """
    config = AxesConfig() if config is None else config
    processes = processes_of(mesh)
    is_first = processes == 1 or jax.process_index() == 0
    if mesh is not None:
        check_batch("batch_size", config.batch_size, mesh)
        # Not the mesh itself: where its axes are explicit, JAX refuses products over a divided batch.
        mesh = data_mesh(list(mesh.devices.flat))
    spread = None if mesh is None else batch_sharding(mesh)
    split = _split(dataset, pca, config)
    program = Program.of(config, pca.num_components, pca.w_dim, len(split.data.head), spread)
    hyper = Hyperparameters.of(config)
    state = initialize(program, split.data, hyper)
    history: tuple[np.ndarray, np.ndarray] = (np.zeros((0, 4), np.float32), np.zeros((0, 3), np.float32))
    identity = _identity(dataset, pca, config) if checkpoint_dir is not None else {}
    if checkpoint_dir is not None:
        with all_or_none("axes", processes):
            if is_first and Path(checkpoint_dir).exists():
                state, history = _resume(checkpoint_dir, identity, state)
        if processes > 1:
            state, history = _shared_by_first(state, history)
    data = split.data
    if mesh is not None:
        state, data, hyper = replicate((state, data, hyper), mesh)

    start = len(history[0])
    is_quiet = not progress or not is_first
    with tqdm(total=program.num_steps, initial=start, desc="axes", unit="step", disable=is_quiet) as bar:
        for length in program.chunk_lengths(start):
            state, losses, held_out = run_chunk(program, length, state, data, hyper)
            history = (
                np.concatenate([history[0], np.asarray(losses)]),
                np.concatenate([history[1], np.asarray(held_out)[None]]),
            )
            if not np.isfinite(history[0][-1]).all():
                raise JaxeditError(
                    f"the training diverged before step {len(history[0])}: expected finite losses; a learning_rate "
                    f"below {config.learning_rate} may help"
                )
            if checkpoint_dir is not None:
                with all_or_none("axes", processes):
                    if is_first:
                        arrays = {"state": named_leaves(state), "losses": history[0], "held_out": history[1]}
                        save_checkpoint(checkpoint_dir, kind="axes-training", config=identity, arrays=arrays)
            bar.set_postfix(correlation=f"{history[1][-1, 0]:.3f}", refresh=False)
            bar.update(length)
    if mesh is not None:
        state = to_local(state)
        program = dataclasses.replace(program, batch_sharding=None)
    return _axes(dataset, pca, config, split, program, state, *history)


def learn_axes_sweep(
    dataset: LabelledLatents, pca: PCA, configs: Sequence[AxesConfig], *, progress: bool = True
) -> list[AttributeAxes]:
    """Learn axes with many configurations at once, in one vectorized program.

    Args:
        dataset: as for `learn_axes`.
        pca: as for `learn_axes`.
        configs: they may differ in loss weights, decorrelation target, learning rate, weight decay, input noise
            and seed.
        progress: whether to show a bar.

    Returns:
        Axes for each configuration, with their reports. A run that diverged has NaN in its report.

    Raises:
        InputError: if there is no configuration, or two differ in another setting; and as `learn_axes`.
    """
    if not configs:
        raise InputError("configs: expected one or more, got none")
    for name in (f.name for f in dataclasses.fields(AxesConfig) if f.name not in SWEEPABLE):
        found = list(dict.fromkeys(getattr(config, name) for config in configs))
        if len(found) > 1:
            raise InputError(
                f"configs: expected one {name} in all configurations of a sweep, got {found}; "
                f"only {', '.join(SWEEPABLE)} may differ"
            )
    split = _split(dataset, pca, configs[0])
    program = Program.of(configs[0], pca.num_components, pca.w_dim, len(split.data.head))
    hyper = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(Hyperparameters.of(c) for c in configs))
    state = initialize_sweep(program, split.data, hyper)
    losses, held_out = [], []
    with tqdm(total=program.num_steps, desc=f"{len(configs)} axes", unit="step", disable=not progress) as bar:
        for length in program.chunk_lengths(0):
            state, chunk_losses, chunk_held_out = run_chunk_sweep(program, length, state, split.data, hyper)
            losses.append(np.asarray(chunk_losses))
            held_out.append(np.asarray(chunk_held_out)[:, None])
            bar.update(length)
    all_losses, all_held_out = np.concatenate(losses, 1), np.concatenate(held_out, 1)
    learnt = []
    for i, config in enumerate(configs):
        parameters, statistics, optimizer = jax.tree.map(lambda a, i=i: a[i], tuple(state[:3]))
        own = TrainingState(parameters, statistics, optimizer, state.step)
        learnt.append(_axes(dataset, pca, config, split, program, own, all_losses[i], all_held_out[i]))
    return learnt


@dataclasses.dataclass(frozen=True)
class _Split:
    """The dataset ready for training: quantile-transformed, in PCA coordinates, split."""

    quantile_transform: QuantileTransform
    data: TrainingData
    w_pca: Float[Array, "num_training w_dim"]
    held_out_w_pca: Float[Array, "num_held_out w_dim"]


def _split(dataset: LabelledLatents, pca: PCA, config: AxesConfig) -> _Split:
    num_attributes, k = len(dataset.attribute_names), pca.num_components
    if dataset.w.shape[1] != pca.w_dim:
        raise InputError(
            f"dataset: expected latents of the PCA's width {pca.w_dim}, got {dataset.w.shape[1]}"
        )
    if not 1 <= num_attributes <= k:
        raise InputError(
            f"dataset: expected 1…{k} attributes (there are {k} axes: num_components of the PCA), got {num_attributes}"
        )
    num_held_out = round(config.held_out_fraction * len(dataset))
    num_training = len(dataset) - num_held_out
    if num_held_out < 2 or num_training < config.batch_size:
        raise InputError(
            f"dataset: expected enough samples for batches of {config.batch_size} and two held out, got {len(dataset)} "
            f"({num_training} for training, {num_held_out} held out)"
        )
    order = jax.random.permutation(jax.random.key(config.split_seed % 2**32), len(dataset))
    training, held_out = order[:num_training], order[num_training:]
    values = jnp.asarray(dataset.values, jnp.float32)
    # Fitted on the training split alone: the held-out labels must not shape their own targets.
    quantile_transform = fit_quantile_transform(values[training], dataset.attribute_names)
    # A normal score of so few samples does not reach further; what lies beyond is a slip of the classifier, and a
    # single one would outweigh hundreds of faces in a squared error or a correlation.
    labels = jnp.clip(quantile_transform.transform(values), -_LARGEST_LABEL, _LARGEST_LABEL)
    w_pca = pca.transform(jnp.asarray(dataset.w, jnp.float32))
    data = TrainingData(
        w_pca[training, :k],
        labels[training],
        w_pca[held_out, :k],
        labels[held_out],
        pca.explained_variance[:k],
    )
    return _Split(quantile_transform, data, w_pca[training], w_pca[held_out])


@functools.partial(jax.jit, static_argnums=0)
def _compiled_report(
    program: Program,
    state: TrainingState,
    data: TrainingData,
    w_pca: Array,
    held_out_w_pca: Array,
    variance: Array,
) -> AxesReport:
    autoencoder = program.merge(state.parameters, state.statistics)
    probes = fit_probes(w_pca, data.labels, variance)
    return held_out_report(autoencoder, held_out_w_pca, data.held_out_labels, probes, program.k)


def _report(program: Program, state: TrainingState, split: _Split, pca: PCA) -> AxesReport:
    report = _compiled_report(
        program, state, split.data, split.w_pca, split.held_out_w_pca, pca.explained_variance
    )
    return jax.tree.map(np.asarray, report)


def _axes(
    dataset: LabelledLatents,
    pca: PCA,
    config: AxesConfig,
    split: _Split,
    program: Program,
    state: TrainingState,
    losses: Float[np.ndarray, "num_steps 4"],
    held_out: Float[np.ndarray, "num_chunks 3"],
) -> AttributeAxes:
    """The finished axes, with report and history."""
    steps = np.cumsum(program.chunk_lengths(0)).astype(np.int32)
    history: dict[str, Array | np.ndarray] = {name: losses[:, i] for i, name in enumerate(LOSS_NAMES)}
    history |= {"held_out_step": steps}
    history |= {f"held_out_{name}": held_out[:, i] for i, name in enumerate(HELD_OUT_NAMES)}
    return AttributeAxes(
        attribute_names=tuple(dataset.attribute_names),
        attribute_units=tuple(dataset.attribute_units),
        pca=pca,
        quantile_transform=split.quantile_transform,
        autoencoder=program.merge(state.parameters, state.statistics),
        config=config,
        report=_report(program, state, split, pca),
        history=history,
    )


def _identity(dataset: LabelledLatents, pca: PCA, config: AxesConfig) -> dict[str, Any]:
    """What a training state belongs to: the settings, and checksums of the data."""
    arrays: dict[str, Any] = {"w": dataset.w, "values": dataset.values, "components": pca.components}
    checksums = {n: zlib.crc32(np.asarray(a, np.float32).tobytes()) for n, a in arrays.items()}
    settings = {"config": dataclasses.asdict(config), "num_components": pca.num_components}
    return settings | {"attribute_names": list(dataset.attribute_names), "checksums": checksums}


def _resume(
    folder: str | Path, identity: dict[str, Any], state: TrainingState
) -> tuple[TrainingState, tuple[np.ndarray, np.ndarray]]:
    found, arrays = load_checkpoint(folder, kind="axes-training")
    for name, expected in identity.items():
        if found.get(name) != expected:
            raise CheckpointError(
                f"{folder}: holds a training with another {name}: expected {expected}, found {found.get(name)}; "
                "remove it or choose another folder"
            )
    return from_named_leaves(state, arrays["state"]), (arrays["losses"], arrays["held_out"])


def _shared_by_first(
    state: TrainingState, history: tuple[np.ndarray, np.ndarray]
) -> tuple[TrainingState, tuple[np.ndarray, np.ndarray]]:
    """The state and history of process 0, on every process."""
    lengths = from_first_process(np.asarray([len(part) for part in history], np.int32))
    # The others have no history yet; an exchange needs one of the same shape.
    history = (np.resize(history[0], (lengths[0], 4)), np.resize(history[1], (lengths[1], 3)))
    return from_first_process((jax.tree.map(np.asarray, state), history))
