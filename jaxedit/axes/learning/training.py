"""The compiled training program of the axis autoencoder.

A run is a `TrainingState` (a pytree of arrays). `train_chunk` takes its steps: one compiled program, a scan over steps
with the whole dataset on the device. Everything that may differ between runs of a sweep is data (`Hyperparameters`), so
the same program serves one run and, under `jax.vmap`, many. All randomness comes from (seed, epoch, step): resumed runs
end in the same bits as uninterrupted ones.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import lax
from jax.sharding import NamedSharding
from jaxtyping import Array, Bool, Float

from jaxedit.axes.config import AxesConfig
from jaxedit.axes.correlations import axis_label_correlation, correlation_matrix, mean_off_diagonal
from jaxedit.axes.learning.losses import (
    attribute_loss,
    correlation_target,
    decorrelation_loss,
    reconstruction_loss,
)
from jaxedit.axes.learning.network import TrainedAutoencoder

LOSS_NAMES = ("total", "reconstruction", "attribute", "decorrelation")
HELD_OUT_NAMES = ("held_out_axis_label_correlation", "held_out_code_correlation", "held_out_reconstruction")

SWEEPABLE = (
    "attribute_weight",
    "decorrelation_weight",
    "decorrelation_target",
    "learning_rate",
    "weight_decay",
    "input_noise",
    "seed",
)
"""The settings that may differ between the configurations of a sweep."""


class TrainingData(NamedTuple):
    """First k PCA coordinates and quantile-transformed labels of both splits, and λ[:k].

    Where labels are missing, they are 0 and `known` says which ones are known. Without missing labels it is None, and
    the program has no masks.
    """

    head: Float[Array, "num_training k"]
    labels: Float[Array, "num_training num_attributes"]
    held_out_head: Float[Array, "num_held_out k"]
    held_out_labels: Float[Array, "num_held_out num_attributes"]
    explained_variance: Float[Array, " k"]
    known: Bool[Array, "num_training num_attributes"] | None = None
    held_out_known: Bool[Array, "num_held_out num_attributes"] | None = None


class Hyperparameters(NamedTuple):
    """Settings that may differ between the runs of a sweep, as arrays."""

    attribute_weight: Array
    decorrelation_weight: Array
    natural_target: Array
    learning_rate: Array
    weight_decay: Array
    input_noise: Array
    seed: Array

    @classmethod
    def of(cls, config: AxesConfig) -> "Hyperparameters":
        """The hyperparameters of a configuration."""
        return cls(
            jnp.float32(config.attribute_weight),
            jnp.float32(config.decorrelation_weight),
            jnp.bool_(config.decorrelation_target == "natural"),
            jnp.float32(config.learning_rate),
            jnp.float32(config.weight_decay),
            jnp.float32(config.input_noise),
            jnp.uint32(config.seed % 2**32),
        )


class TrainingState(NamedTuple):
    """Weights; running statistics and constants; the moments of Adam; number of steps taken."""

    parameters: Any
    statistics: Any
    optimizer: Any
    step: Array


@dataclasses.dataclass(frozen=True)
class Program:
    """The static part of the training program. Hashable.

    `batch_sharding` spreads the rows of a batch over devices; None on one device. The program is that of the whole
    batch either way: losses, gradients and the statistics of batch norm are over all rows.
    """

    config: AxesConfig
    k: int
    w_dim: int
    num_steps: int
    steps_per_epoch: int
    batch_sharding: NamedSharding | None = None

    @classmethod
    def of(
        cls,
        config: AxesConfig,
        k: int,
        w_dim: int,
        num_training: int,
        batch_sharding: NamedSharding | None = None,
    ) -> "Program":
        """The program of a configuration. Configurations that differ in `SWEEPABLE` alone share one."""
        published = AxesConfig.paper()
        common = dataclasses.replace(config, **{name: getattr(published, name) for name in SWEEPABLE})
        steps_per_epoch = num_training // config.batch_size
        return cls(common, k, w_dim, config.steps(num_training), steps_per_epoch, batch_sharding)

    @functools.cached_property
    def structure(self) -> nnx.GraphDef:
        """The autoencoder without its arrays."""
        return nnx.graphdef(nnx.eval_shape(lambda: self.build(jax.random.key(0))))

    def build(self, key: Array) -> TrainedAutoencoder:
        """An autoencoder with initial weights."""
        return TrainedAutoencoder(self.k, self.config, rngs=nnx.Rngs(key))

    def merge(self, parameters: Any, statistics: Any) -> TrainedAutoencoder:
        """The autoencoder with these arrays."""
        # copy: the variables must belong to the trace that updates their running statistics.
        return nnx.merge(self.structure, parameters, statistics, copy=True)


def initial_state(program: Program, data: TrainingData, hyper: Hyperparameters) -> TrainingState:
    """The state before the first step; a pure function of the seed and the data."""
    autoencoder = program.build(jax.random.fold_in(jax.random.key(hyper.seed), 0))
    if autoencoder.linear is not None:
        autoencoder.linear.fit(data.head, data.labels, data.explained_variance, data.known)
    parameters, statistics = nnx.state(autoencoder, nnx.Param, ...)
    optimizer = optax.scale_by_adam().init(parameters)
    return TrainingState(parameters, statistics, optimizer, jnp.int32(0))


def train_chunk(
    program: Program, num_steps: int, state: TrainingState, data: TrainingData, hyper: Hyperparameters
) -> tuple[TrainingState, dict[str, Float[Array, " steps_or_one"]]]:
    """Take `num_steps` steps.

    Returns:
        The new state, and curves by name: the losses of each step (`LOSS_NAMES`) and the held-out metrics after the
        last (`HELD_OUT_NAMES`).
    """
    config, adam = program.config, optax.scale_by_adam()
    num_training, k = data.head.shape
    natural = correlation_target(data.labels, k, data.known)
    target = jnp.where(hyper.natural_target, natural, jnp.eye(k))
    order_key, noise_key = (jax.random.fold_in(jax.random.key(hyper.seed), i) for i in (1, 2))

    def shuffled(epoch: Array) -> Array:
        return jax.random.permutation(jax.random.fold_in(order_key, epoch), num_training)

    def loss(
        parameters: Any,
        statistics: Any,
        head: Array,
        labels: Array,
        known: Array | None,
        noise: Array | None,
    ) -> tuple[Array, tuple[Any, dict[str, Array]]]:
        autoencoder = program.merge(parameters, statistics)
        codes = autoencoder.encode(head, noise)
        reconstruction = reconstruction_loss(head, autoencoder.decode(codes), program.w_dim)
        attribute = attribute_loss(codes, labels, known)
        decorrelation = decorrelation_loss(codes, target)
        total = (
            reconstruction + hyper.attribute_weight * attribute + hyper.decorrelation_weight * decorrelation
        )
        _, statistics = nnx.state(autoencoder, nnx.Param, ...)
        losses = (total, reconstruction, attribute, decorrelation)
        return total, (statistics, dict(zip(LOSS_NAMES, losses, strict=True)))

    def step(
        carry: tuple[TrainingState, Array], _: None
    ) -> tuple[tuple[TrainingState, Array], dict[str, Array]]:
        state, order = carry
        epoch, position = jnp.divmod(state.step, program.steps_per_epoch)
        order = lax.cond(position == 0, shuffled, lambda _: order, epoch)
        batch = lax.dynamic_slice_in_dim(order, position * config.batch_size, config.batch_size)
        noise = None
        if config.linear_path:
            key = jax.random.fold_in(noise_key, state.step)
            noise = hyper.input_noise * jax.random.normal(key, (config.batch_size, k))
        known = None if data.known is None else data.known[batch]
        rows = (data.head[batch], data.labels[batch], known, noise)
        if program.batch_sharding is not None:
            rows = lax.with_sharding_constraint(rows, program.batch_sharding)
        gradient, (statistics, losses) = jax.grad(loss, has_aux=True)(
            state.parameters, state.statistics, *rows
        )
        updates, optimizer = adam.update(gradient, state.optimizer)
        rate = hyper.learning_rate
        if config.learning_rate_schedule == "cosine":
            rate = rate * 0.5 * (1 + jnp.cos(math.pi * state.step / program.num_steps))
        parameters = jax.tree.map(
            # Kernels are the matrices; biases and the scales of norms do not decay.
            lambda p, u: p - rate * (u + (hyper.weight_decay * p if p.ndim == 2 else 0.0)),
            state.parameters,
            updates,
        )
        return (TrainingState(parameters, statistics, optimizer, state.step + 1), order), losses

    order = shuffled(state.step // program.steps_per_epoch)
    (state, _), losses = lax.scan(step, (state, order), length=num_steps)
    autoencoder = program.merge(state.parameters, state.statistics).frozen()
    codes = autoencoder.encode(data.held_out_head)
    metrics = (
        axis_label_correlation(codes, data.held_out_labels, data.held_out_known).mean(),
        mean_off_diagonal(correlation_matrix(codes)),
        reconstruction_loss(data.held_out_head, autoencoder.decode(codes), program.w_dim),
    )
    return state, losses | {name: value[None] for name, value in zip(HELD_OUT_NAMES, metrics, strict=True)}


# In a sweep the step count is the same in all runs and stays unbatched: a batched one would turn the reshuffling at
# the start of an epoch into work of every step.
_SWEEP_AXES: Any = TrainingState(0, 0, 0, None)  # type: ignore[arg-type]


def _sweep_chunk(
    program: Program, num_steps: int, state: TrainingState, data: TrainingData, hyper: Hyperparameters
) -> tuple[TrainingState, dict[str, Float[Array, "steps_or_one runs"]]]:
    one = functools.partial(train_chunk, program, num_steps)
    return jax.vmap(one, in_axes=(_SWEEP_AXES, None, 0), out_axes=(_SWEEP_AXES, 1))(state, data, hyper)


def _sweep_state(program: Program, data: TrainingData, hyper: Hyperparameters) -> TrainingState:
    one = functools.partial(initial_state, program)
    return jax.vmap(one, in_axes=(None, 0), out_axes=_SWEEP_AXES)(data, hyper)


# The compiled entry points: one run, and many at once with the data shared. A chunk's old state gives up its memory.
initialize = jax.jit(initial_state, static_argnums=0)
initialize_sweep = jax.jit(_sweep_state, static_argnums=0)
run_chunk = jax.jit(train_chunk, static_argnums=(0, 1), donate_argnums=2)
run_chunk_sweep = jax.jit(_sweep_chunk, static_argnums=(0, 1), donate_argnums=2)
