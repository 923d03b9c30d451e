"""Settings of learning the axes."""

import dataclasses
import math
from typing import Any, Literal

from jaxedit.errors import InputError


@dataclasses.dataclass(frozen=True)
class AxesConfig:
    """Architecture and training of the autoencoder of the axes. `paper()` is the published recipe.

    Attributes:
        num_layers: linear layers in the encoder, and in the decoder.
        hidden_width: width between them.
        leaky_slope: negative slope of the leaky ReLU.
        linear_path: whether the networks learn corrections to the closed-form linear solution on whitened
            coordinates (see `jaxedit.axes.autoencoder`), or everything from random weights on raw coordinates.
        input_noise: standard deviation of the noise added in training to the whitened coordinates that the encoder
            sees. Without it the network memorizes a few thousand labels, and the axes follow the labels of other
            latents less well than the linear solution does.
        linear_damping: δ of the linear solution. With 0, an edit changes one predicted attribute and no other, however
            long the move is. More damping gives shorter moves that take related attributes along a little.
        attribute_weight: weight of the attribute loss.
        decorrelation_weight: weight of the decorrelation loss.
        decorrelation_target: correlations that the codes should have. "identity": none. "natural": the attribute axes
            keep the correlations of their labels in the training split.
        label_transform: how raw values become labels of N(0, 1). "quantile": by their ranks. "histogram": as the
            published code does it (`jaxedit.labels.histogram_transform`).
        learning_rate: Adam's.
        learning_rate_schedule: "constant", or "cosine" to zero at the last step.
        weight_decay: decoupled weight decay of the kernels, relative to the learning rate.
        batch_size: latents per step.
        num_steps: number of steps; None if `num_epochs` is given.
        num_epochs: number of passes over the training split; None if `num_steps` is given. Each pass has a new order
            and leaves out its incomplete last batch.
        held_out_fraction: share of the dataset kept for the report.
        split_seed: which samples are held out.
        seed: initial weights and order of the batches.
        steps_per_chunk: steps of one call of the compiled program. Held-out metrics, checkpoint and progress bar come
            after each.

    Raises:
        InputError: if a setting is out of its range; the message names it.

    Examples:
        >>> from jaxedit import AxesConfig
        >>> AxesConfig(num_steps=500).batch_size
        256
        >>> AxesConfig.paper(seed=1).num_epochs
        150
    """

    num_layers: int = 3
    hidden_width: int = 256
    leaky_slope: float = 0.01
    linear_path: bool = True
    linear_damping: float = 0.1
    input_noise: float = 1.0
    attribute_weight: float = 1e-2
    decorrelation_weight: float = 1e-4
    decorrelation_target: Literal["identity", "natural"] = "natural"
    label_transform: Literal["quantile", "histogram"] = "quantile"
    learning_rate: float = 3e-4
    learning_rate_schedule: Literal["constant", "cosine"] = "cosine"
    weight_decay: float = 1.0
    batch_size: int = 256
    num_steps: int | None = 1500
    num_epochs: int | None = None
    held_out_fraction: float = 0.3
    split_seed: int = 0
    seed: int = 0
    steps_per_chunk: int = 250

    def __post_init__(self) -> None:
        for name in ("num_layers", "hidden_width", "batch_size", "steps_per_chunk"):
            self._check(name, getattr(self, name) >= (2 if name == "batch_size" else 1), "a positive int")
        if (self.num_steps is None) == (self.num_epochs is None):
            raise InputError(
                f"num_steps and num_epochs: expected one of the two, got {self.num_steps} and {self.num_epochs}"
            )
        name = "num_epochs" if self.num_steps is None else "num_steps"
        self._check(name, getattr(self, name) >= 1, "a positive int")
        for name in (
            "linear_damping",
            "attribute_weight",
            "decorrelation_weight",
            "weight_decay",
            "leaky_slope",
            "input_noise",
        ):
            value = getattr(self, name)
            self._check(name, math.isfinite(value) and value >= 0, "a finite number ≥ 0")
        self._check("input_noise", self.linear_path or self.input_noise == 0, "0 without linear_path")
        self._check("learning_rate", 0 < self.learning_rate < math.inf, "a finite number > 0")
        self._check("held_out_fraction", 0 < self.held_out_fraction < 1, "a share in (0, 1)")
        transforms = ("quantile", "histogram")
        self._check("label_transform", self.label_transform in transforms, f"one of {transforms}")
        targets, schedules = ("identity", "natural"), ("constant", "cosine")
        self._check("decorrelation_target", self.decorrelation_target in targets, f"one of {targets}")
        self._check("learning_rate_schedule", self.learning_rate_schedule in schedules, f"one of {schedules}")

    def _check(self, name: str, fits: bool, expected: str) -> None:
        if not fits:
            raise InputError(f"{name}: expected {expected}, got {getattr(self, name)!r}")

    @classmethod
    def paper(cls, **changes: Any) -> "AxesConfig":
        """The published recipe (Lesné et al. 2023, section 4, and their code), for k = 60.

        Encoder and decoder of 8 linear layers × 512, leaky ReLU 0.01 and then batch norm after each hidden layer,
        batch norm on the code and none on the decoder's output; Adam 2e-4, batch 256, 150 epochs on 70 % of the
        data; both loss weights 1e-5, codes decorrelated toward the identity.
        """
        recipe: dict[str, Any] = {
            "num_layers": 8,
            "hidden_width": 512,
            "leaky_slope": 0.01,
            "linear_path": False,
            "linear_damping": 0.0,
            "input_noise": 0.0,
            "attribute_weight": 1e-5,
            "decorrelation_weight": 1e-5,
            "decorrelation_target": "identity",
            "learning_rate": 2e-4,
            "learning_rate_schedule": "constant",
            "weight_decay": 0.0,
            "batch_size": 256,
            "num_steps": None,
            "num_epochs": 150,
            "held_out_fraction": 0.3,
        }
        return cls(**(recipe | changes))

    def steps(self, num_training: int) -> int:
        """Total number of steps on a training split of this size."""
        if self.num_steps is not None:
            return self.num_steps
        assert self.num_epochs is not None
        return self.num_epochs * (num_training // self.batch_size)
