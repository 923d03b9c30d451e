"""Learning the axes from a labeled dataset: data in, `AttributeAxes` out."""

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
from jaxtyping import Array

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.autoencoder import AxisAutoencoder
from jaxedit.axes.config import AxesConfig
from jaxedit.axes.learning.first_process import FirstProcessKeeper
from jaxedit.axes.learning.split import DatasetSplit, split_dataset
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
from jaxedit.errors import InputError, JaxeditError
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.latents.pca import PCA
from jaxedit.nn.chunked_loop import CheckpointKeeper, ChunkedLoop, History, run_chunks
from jaxedit.parallel import Tree, batch_sharding, check_batch, data_mesh, processes_of, replicate, to_local

TRAINING_KIND = "axes-training"
"""Kind of the checkpoint of an unfinished training."""


def learn_axes(
    dataset: LabelledLatents,
    pca: PCA,
    config: AxesConfig | None = None,
    *,
    checkpoint_dir: str | Path | None = None,
    progress: bool = True,
    mesh: Mesh | None = None,
) -> AttributeAxes:
    """Learn attribute axes (Lesné et al. 2023; `jaxedit.axes.autoencoder` has the equations).

    Args:
        dataset: latents and raw attribute values. The first axes are its attributes, in order. Values may be missing
            (NaN): an attribute is learned and measured on the latents where it is known, and all latents form the
            rest. Over several processes each holds the whole dataset.
        pca: PCA of W; its `num_components` is the number of axes.
        config: settings; by default `AxesConfig()`.
        checkpoint_dir: folder for the training state after each chunk. Interrupted runs resume from it, and end in
            the same bits as uninterrupted ones (on the same machine).
        progress: whether to show a bar.
        mesh: devices over which each batch is divided (see `data_mesh`); by default the default device. The axes are
            those of one device up to rounding. Over several processes all call this function, and process 0 keeps
            `checkpoint_dir`.

    Raises:
        InputError: if dataset, PCA and settings do not fit together, or the batch is not a multiple of the devices.
        CheckpointError: if `checkpoint_dir` holds a training with other settings or other data, or of a version whose
            trainings this one cannot resume.
        JaxeditError: if the training diverges, or another process failed.

    Examples:
        >>> import jax, jaxedit
        >>> w = jax.random.normal(jax.random.key(0), (400, 8))
        >>> dataset = jaxedit.LabelledLatents(w, 170 + 7 * w[:, :1], ("height",), ("cm",))
        >>> config = jaxedit.AxesConfig(num_steps=50, hidden_width=16)
        >>> axes = jaxedit.learn_axes(dataset, jaxedit.fit_pca(w, 4), config, progress=False)
        >>> bool(axes.report.axis_label_correlation[0] > 0.8)
        True
    """
    config = AxesConfig() if config is None else config
    processes = processes_of(mesh)
    if mesh is not None:
        check_batch("batch_size", config.batch_size, mesh)
        # Not the mesh itself: where its axes are explicit, JAX refuses products over a divided batch.
        mesh = data_mesh(list(mesh.devices.flat))
    spread = None if mesh is None else batch_sharding(mesh)
    split = split_dataset(dataset, pca, config)
    program = Program.of(config, pca.num_components, pca.w_dim, len(split.data.head), spread)
    data, hyper = split.data, Hyperparameters.of(config)
    state = initialize(program, data, hyper)

    def place(tree: Tree) -> Tree:
        return tree if mesh is None else replicate(tree, mesh)

    data, hyper = place((data, hyper))

    def chunk(state: TrainingState, step: int, length: int) -> tuple[TrainingState, dict[str, Array]]:
        return run_chunk(program, length, state, data, hyper)

    def check(step: int, curves: History) -> None:
        if not all(np.isfinite(curves[name][-1]) for name in LOSS_NAMES):
            raise JaxeditError(
                f"the training diverged before step {step}: expected finite losses; a learning_rate "
                f"below {config.learning_rate} may help"
            )

    is_first = processes == 1 or jax.process_index() == 0
    loop = ChunkedLoop(
        program.num_steps,
        config.steps_per_chunk,
        "axes",
        progress=progress and is_first,
        describe=lambda curves: {"correlation": f"{curves[HELD_OUT_NAMES[0]][-1]:.3f}"},
        check=check,
    )
    keeper = None
    if checkpoint_dir is not None:
        kept = CheckpointKeeper(checkpoint_dir, kind=TRAINING_KIND, identity=_identity(dataset, pca, config))
        keeper = FirstProcessKeeper(kept, "axes", processes, place)
    state, history = run_chunks(chunk, place(state), loop, keeper)
    if mesh is not None:
        state = to_local(state)
        program = dataclasses.replace(program, batch_sharding=None)
    return _axes(dataset, pca, config, split, program, state, history)


def learn_axes_sweep(
    dataset: LabelledLatents, pca: PCA, configs: Sequence[AxesConfig], *, progress: bool = True
) -> list[AttributeAxes]:
    """Learn axes with many configurations at once, in one vectorized program.

    Args:
        dataset: as for `learn_axes`.
        pca: as for `learn_axes`.
        configs: settings of each run. They may differ in loss weights, decorrelation target, learning rate, weight
            decay, input noise and seed.
        progress: whether to show a bar.

    Returns:
        The axes of each configuration, with their reports. A run that diverged has NaN in its report.

    Raises:
        InputError: if there is no configuration, or two differ in another setting; and as `learn_axes`.

    Examples:
        >>> import jax, jaxedit
        >>> w = jax.random.normal(jax.random.key(0), (400, 8))
        >>> dataset = jaxedit.LabelledLatents(w, 170 + 7 * w[:, :1], ("height",), ("cm",))
        >>> configs = [jaxedit.AxesConfig(num_steps=20, hidden_width=16, seed=seed) for seed in (0, 1)]
        >>> runs = jaxedit.learn_axes_sweep(dataset, jaxedit.fit_pca(w, 4), configs, progress=False)
        >>> [run.attribute_names for run in runs]
        [('height',), ('height',)]
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
    split = split_dataset(dataset, pca, configs[0])
    program = Program.of(configs[0], pca.num_components, pca.w_dim, len(split.data.head))
    hyper = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(Hyperparameters.of(c) for c in configs))
    state = initialize_sweep(program, split.data, hyper)

    def chunk(state: TrainingState, step: int, length: int) -> tuple[TrainingState, dict[str, Array]]:
        return run_chunk_sweep(program, length, state, split.data, hyper)

    loop = ChunkedLoop(
        program.num_steps, configs[0].steps_per_chunk, f"{len(configs)} axes", progress=progress
    )
    state, history = run_chunks(chunk, state, loop)
    learned = []
    for i, config in enumerate(configs):
        parameters, statistics, optimizer = jax.tree.map(lambda a, i=i: a[i], tuple(state[:3]))
        own = TrainingState(parameters, statistics, optimizer, state.step)
        curves = {name: values[:, i] for name, values in history.items()}
        learned.append(_axes(dataset, pca, config, split, program, own, curves))
    return learned


@functools.partial(jax.jit, static_argnums=0)
def _compiled_report(
    program: Program,
    state: TrainingState,
    data: TrainingData,
    w_pca: Array,
    held_out_w_pca: Array,
    variance: Array,
) -> AxesReport:
    autoencoder = program.merge(state.parameters, state.statistics).frozen()
    probes = fit_probes(w_pca, data.labels, variance, data.known)
    return held_out_report(
        autoencoder, held_out_w_pca, data.held_out_labels, probes, program.k, data.held_out_known
    )


def _report(program: Program, state: TrainingState, split: DatasetSplit, pca: PCA) -> AxesReport:
    report = _compiled_report(
        program, state, split.data, split.w_pca, split.held_out_w_pca, pca.explained_variance
    )
    return jax.tree.map(np.asarray, report)


@functools.partial(jax.jit, static_argnums=0)
def _frozen(program: Program, state: TrainingState) -> AxisAutoencoder:
    return program.merge(state.parameters, state.statistics).frozen()


def _axes(
    dataset: LabelledLatents,
    pca: PCA,
    config: AxesConfig,
    split: DatasetSplit,
    program: Program,
    state: TrainingState,
    history: History,
) -> AttributeAxes:
    """The finished axes, with report and history."""
    length = program.config.steps_per_chunk
    ends = [min(start + length, program.num_steps) for start in range(0, program.num_steps, length)]
    return AttributeAxes(
        attribute_names=tuple(dataset.attribute_names),
        attribute_units=tuple(dataset.attribute_units),
        pca=pca,
        quantile_transform=split.quantile_transform,
        autoencoder=_frozen(program, state),
        config=config,
        report=_report(program, state, split, pca),
        history={**history, "held_out_step": np.asarray(ends, np.int32)},
        generator_fingerprint=dataset.generator_fingerprint,
    )


def _identity(dataset: LabelledLatents, pca: PCA, config: AxesConfig) -> dict[str, Any]:
    """The settings, and checksums of the data: a training state resumes with the same alone."""
    arrays: dict[str, Any] = {"w": dataset.w, "values": dataset.values, "components": pca.components}
    checksums = {n: zlib.crc32(np.asarray(a, np.float32).tobytes()) for n, a in arrays.items()}
    settings = {"config": dataclasses.asdict(config), "num_components": pca.num_components}
    return settings | {"attribute_names": list(dataset.attribute_names), "checksums": checksums}
