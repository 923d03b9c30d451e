"""Latent transformer: for each attribute, a residual that is trained with a classifier of latents.

Yao, Newson, Gousseau and Hellier, *A Latent Transformer for Disentangled Face Editing in Images and Videos*, ICCV 2021.
First, a classifier C is trained: an MLP from w to the logits of all attributes. Then, for each attribute k, a linear
layer f is trained with C fixed. It edits

    w' = w + α f(w),        f(w) = K w + b,

With p = σ(C_k(w)), the target t = 1 if p ≤ ½ else 0, and α = t − p, its loss is

    L = BCE(C_k(w'), t) + λ_attr Σⱼ (1 − |γ_kj|)² (C_j(w') − C_j(w))² / A + λ_rec ‖w' − w‖² / dim w

averaged over the batch, with γ the correlations of the labels. The first term is weighted to balance the targets. As
published: λ_attr = 1, λ_rec = 10, Adam 1e-3 with L2 decay 5e-4, batches of 32, 10 epochs, weights scaled at run time by
1/√fan-in ("equalized learning rate").

Differences from the publication. The published method edits W+ with one f for each layer; the labeled latents here are
in W, so one f serves all layers. The labels of CelebA are binary; here the classes are above and below the median. The
hidden layers of the classifier are half as wide, because the latents are 1/18 as wide.
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
    """Settings of the training.

    Attributes:
        hidden_widths: widths of the hidden layers of the classifier.
        classifier_learning_rate: Adam's learning rate for the classifier.
        classifier_epochs: epochs of the classifier.
        classifier_batch_size: batch size of the classifier.
        learning_rate: Adam's learning rate for the transformers.
        epochs: epochs of the transformers.
        batch_size: batch size of the transformers.
        weight_decay: L2 weight decay of both, added to the gradient.
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
"""Layers of an MLP with leaky ReLU 0.2."""


@dataclasses.dataclass(frozen=True)
class LatentTransformer:
    """The trained transformers as an `EditingMethod`. The amount of an edit is α.

    Attributes:
        name: name in tables and plots.
        attribute_names: attribute of each transformer.
        kernels: K, transposed, multiplied by the run-time scale.
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
            InputError: if there is no transformer of this attribute.
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
    """Logits of the class "above the median" of each attribute."""
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
    """Train the classifier C: mean binary cross-entropy over all attributes, with PyTorch's initial weights.

    Args:
        w: latents.
        classes: class of each latent and attribute, 0 or 1.
        config: settings of the training.
        key: key of weights and batches.
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
    """Train the transformers f of several attributes in parallel.

    Args:
        w: latents.
        classifier: C.
        targets: attribute k of each transformer, as one-hot rows.
        correlations: γ: correlations of each target with all attributes.
        config: settings of the training.
        key: key of weights and batches.
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
    """Adam with PyTorch's weight decay, which is added to the gradient before the moments."""
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(learning_rate))


def _batches(key: Array, num_samples: int, batch_size: int, epochs: int) -> Array:
    """Rows of each batch, [num_batches, batch_size]. Each epoch is shuffled and drops its incomplete last batch."""
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
    """Train transformers of some attributes. The classifier is trained on all attributes.

    Args:
        split: training data.
        generator: not used.
        attribute_names: attributes of the transformers, by default the leakage attributes.
        config: settings of the training, by default `Config()`.
        seed: seed of weights and batches.
        name: name of the method.

    Raises:
        InputError: if a name is unknown, or there are fewer samples than in a batch.
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
    # As published, γ are the correlations of the binary labels.
    correlations = jnp.corrcoef(classes, rowvar=False)
    targets = jnp.eye(classes.shape[1])[columns]
    trained = train_transformers(split.w, classifier, targets, correlations[columns], config, key)
    return LatentTransformer(name, names, trained.kernel, trained.bias)
