"""Latent transformer: a learnt residual for each attribute, trained against a classifier of latents.

Yao, Newson, Gousseau and Hellier, *A Latent Transformer for Disentangled Face Editing in Images and Videos*, ICCV 2021.
A classifier C, an MLP from w to the logit of every attribute, is trained and frozen. For each attribute k one linear
layer f edits

    w' = w + α f(w),        f(w) = K w + b,

and learns, with p = σ(C_k(w)) and the target t = 1 where p ≤ ½, else 0, at α = t − p,

    L = BCE(C_k(w'), t) + λ_attr Σⱼ (1 − |γ_kj|)² (C_j(w') − C_j(w))² / A + λ_rec ‖w' − w‖² / dim w

(means over the batch; the first weighted to balance the targets), γ the correlations of the labels. As published:
λ_attr = 1, λ_rec = 10, Adam 1e-3 with L2 decay 5e-4, batches of 32, 10 epochs, weights scaled at run time by
1/√fan-in ("equalized learning rate").

Published on W+ with a layer f for each style input; the labelled latents are of W, where all of these take the same
input and are one. CelebA's labels are yes or no; here an attribute is "yes" above its median. The classifier's hidden
layers are half as wide as published, for latents of 1/18 of the width.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from benchmarks.baselines.training_labels import TrainingSplit
from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator


@dataclasses.dataclass(frozen=True)
class Config:
    """How classifier and transformers are trained.

    Attributes:
        hidden_widths: of the classifier.
        classifier_learning_rate: Adam's.
        classifier_epochs: passes over the training split, in batches of `classifier_batch_size`.
        classifier_batch_size: latents a step.
        learning_rate: Adam's, of the transformers.
        epochs: passes over the training split, in batches of `batch_size`.
        batch_size: latents a step.
        weight_decay: L2, of both, added to the gradient.
        attribute_weight: λ_attr.
        reconstruction_weight: λ_rec.
    """

    hidden_widths: tuple[int, ...] = (1024, 256)
    classifier_learning_rate: float = 3e-4
    classifier_epochs: int = 10
    classifier_batch_size: int = 64
    learning_rate: float = 1e-3
    epochs: int = 10
    batch_size: int = 32
    weight_decay: float = 5e-4
    attribute_weight: float = 1.0
    reconstruction_weight: float = 10.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name != "hidden_widths" and not value >= 0:
                raise InputError(f"{field.name}: expected a number ≥ 0, got {value}")


class Dense(NamedTuple):
    """x ↦ x·kernel + bias."""

    kernel: Float[Array, "*stack inner outer"]
    bias: Float[Array, "*stack outer"]


Classifier = list[Dense]
"""Layers, with leaky ReLU 0.2 between them."""


@dataclasses.dataclass(frozen=True)
class LatentTransformer:
    """The trained transformers as a method; amounts are α.

    Attributes:
        name: for tables and plots.
        attribute_names: one for each transformer.
        kernels: K, transposed, with the run-time scale in it.
        biases: b.
    """

    name: str
    attribute_names: tuple[str, ...]
    kernels: Float[Array | np.ndarray, "num_attributes w_dim w_dim"]
    biases: Float[Array | np.ndarray, "num_attributes w_dim"]

    def edit(
        self, w: Float[Array, "batch w_dim"], attribute: str, amounts: Float[Array, " batch"]
    ) -> Float[Array, "batch w_dim"]:
        """w + α f(w).

        Raises:
            InputError: if there is no transformer of that name.
        """
        if attribute not in self.attribute_names:
            raise InputError(
                f"attribute {attribute!r}: expected one of {', '.join(self.attribute_names)} ({self.name})"
            )
        i = self.attribute_names.index(attribute)
        return _apply(jnp.asarray(w), self.kernels[i], self.biases[i], jnp.asarray(amounts))


@jax.jit
def _apply(w: Array, kernel: Array, bias: Array, amounts: Array) -> Array:
    return w + amounts[:, None] * (jnp.matmul(w, kernel, precision=lax.Precision.HIGHEST) + bias)


def classify(classifier: Classifier, w: Float[Array, "batch w_dim"]) -> Float[Array, "batch num_attributes"]:
    """Logits of "above the median"."""
    for layer in classifier[:-1]:
        w = jax.nn.leaky_relu(w @ layer.kernel + layer.bias, 0.2)
    return w @ classifier[-1].kernel + classifier[-1].bias


@functools.partial(jax.jit, static_argnames="config")
def train_classifier(
    w: Float[Array, "num_samples w_dim"],
    classes: Float[Array, "num_samples num_attributes"],
    config: Config,
    key: PRNGKeyArray,
) -> Classifier:
    """The classifier C: mean binary cross-entropy over all attributes, with PyTorch's initial weights.

    Args:
        w: latents.
        classes: 0 or 1.
        config: settings.
        key: of weights and batches.
    """
    weights_key, batches_key = jax.random.split(key)
    widths = [w.shape[1], *config.hidden_widths, classes.shape[1]]
    classifier = []
    for inner, outer, own in zip(
        widths, widths[1:], jax.random.split(weights_key, len(widths) - 1), strict=False
    ):
        kernel_key, bias_key = jax.random.split(own)
        limit = inner**-0.5
        kernel = jax.random.uniform(kernel_key, (inner, outer), minval=-limit, maxval=limit)
        classifier.append(Dense(kernel, jax.random.uniform(bias_key, (outer,), minval=-limit, maxval=limit)))
    optimizer = _adam(config.classifier_learning_rate, config.weight_decay)

    def loss(classifier: Classifier, rows: Array) -> Array:
        return optax.sigmoid_binary_cross_entropy(classify(classifier, w[rows]), classes[rows]).mean()

    def step(
        state: tuple[Classifier, optax.OptState], rows: Array
    ) -> tuple[tuple[Classifier, optax.OptState], None]:
        classifier, memory = state
        updates, memory = optimizer.update(jax.grad(loss)(classifier, rows), memory, classifier)
        return (optax.apply_updates(classifier, updates), memory), None

    batches = _batches(batches_key, len(w), config.classifier_batch_size, config.classifier_epochs)
    return lax.scan(step, (classifier, optimizer.init(classifier)), batches)[0][0]


@functools.partial(jax.jit, static_argnames="config")
def train_transformers(
    w: Float[Array, "num_samples w_dim"],
    classifier: Classifier,
    targets: Float[Array, "num_transformers num_attributes"],
    correlations: Float[Array, "num_transformers num_attributes"],
    config: Config,
    key: PRNGKeyArray,
) -> Dense:
    """The transformers f of several attributes, side by side.

    Args:
        w: latents.
        classifier: C.
        targets: one-hot rows: the attribute k that each transformer moves.
        correlations: rows of γ, its correlations with all attributes.
        config: settings.
        key: of weights and batches.
    """
    weights_key, batches_key = jax.random.split(key)
    w_dim = w.shape[1]
    before = classify(classifier, w)
    optimizer = _adam(config.learning_rate, config.weight_decay)
    batches = _batches(batches_key, len(w), config.batch_size, config.epochs)

    def train(target: Array, correlation: Array, key: Array) -> Dense:
        limit = (6 / (2 * w_dim)) ** 0.5
        start = Dense(jax.random.uniform(key, (w_dim, w_dim), minval=-limit, maxval=limit), jnp.zeros(w_dim))

        def loss(transformer: Dense, rows: Array) -> Array:
            old, own_before = w[rows], before[rows]
            p = jax.nn.sigmoid(own_before @ target)
            t = (p <= 0.5).astype(p.dtype)
            new = old + (t - p)[:, None] * (old @ (transformer.kernel * w_dim**-0.5) + transformer.bias)
            after = classify(classifier, new)
            balance = len(rows) * (t / (t.sum() + 1e-8) + (1 - t) / ((1 - t).sum() + 1e-8))
            moved = (optax.sigmoid_binary_cross_entropy(after @ target, t) * balance).mean()
            kept = (((1 - jnp.abs(correlation)) * (after - own_before)) ** 2).mean()
            near = ((new - old) ** 2).mean()
            return moved + config.attribute_weight * kept + config.reconstruction_weight * near

        def step(
            state: tuple[Dense, optax.OptState], rows: Array
        ) -> tuple[tuple[Dense, optax.OptState], None]:
            transformer, memory = state
            updates, memory = optimizer.update(jax.grad(loss)(transformer, rows), memory, transformer)
            return (optax.apply_updates(transformer, updates), memory), None

        return lax.scan(step, (start, optimizer.init(start)), batches)[0][0]

    trained = jax.vmap(train)(targets, correlations, jax.random.split(weights_key, len(targets)))
    return Dense(trained.kernel * w_dim**-0.5, trained.bias)


def _adam(learning_rate: float, weight_decay: float) -> optax.GradientTransformation:
    """PyTorch's Adam: its weight decay goes through the moments."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(learning_rate))


def _batches(key: Array, num_samples: int, batch_size: int, epochs: int) -> Array:
    """Rows of each batch, [num_batches, batch_size]: every epoch shuffled, its incomplete last batch left out."""
    whole = num_samples // batch_size * batch_size
    orders = jax.vmap(lambda key: jax.random.permutation(key, num_samples))(jax.random.split(key, epochs))
    return orders[:, :whole].reshape(-1, batch_size)


def fit(
    split: TrainingSplit,
    generator: Generator,
    *,
    attribute_names: Sequence[str] | None = None,
    config: Config | None = None,
    seed: int = 0,
    name: str = "latent-transformer",
) -> LatentTransformer:
    """Transformers of some attributes; the classifier knows all.

    Args:
        split: to learn from.
        generator: not used.
        attribute_names: of the transformers, by default the leakage attributes.
        config: settings, by default `Config()`.
        seed: of weights and batches.
        name: of the method.

    Raises:
        InputError: if a name is unknown, or there are fewer samples than a batch takes.
    """
    config = Config() if config is None else config
    names = tuple(split.leakage_attributes() if attribute_names is None else attribute_names)
    columns = jnp.array(split.columns(names))
    if len(split.w) < max(config.batch_size, config.classifier_batch_size):
        raise InputError(
            f"split: expected enough samples for a batch of {config.classifier_batch_size}, got {len(split.w)}"
        )
    classes = (split.labels > jnp.median(split.labels, axis=0)).astype(jnp.float32)
    classifier_key, key = jax.random.split(jax.random.key(seed))
    classifier = train_classifier(split.w, classes, config, classifier_key)
    # γ of the yes-or-no labels, as published.
    correlations = jnp.corrcoef(classes, rowvar=False)
    targets = jnp.eye(classes.shape[1])[columns]
    trained = train_transformers(split.w, classifier, targets, correlations[columns], config, key)
    return LatentTransformer(name, names, trained.kernel, trained.bias)
