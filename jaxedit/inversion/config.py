"""The settings of a projection and of a tuning."""

import dataclasses
from typing import Any, Literal

from jaxedit.errors import InputError


@dataclasses.dataclass(frozen=True)
class ProjectionConfig:
    """How an image is sought among the generator's.

    The published projector (Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, CVPR 2020,
    appendix D) is `official()`. What goes beyond it: W+, a prior that keeps the latent where edits work, losses of
    identity and of the face at higher resolution.

    Attributes:
        num_steps: of Adam, in all.
        num_w_steps: so many of the first of them move all style inputs alike, and stay in W; the others move each by
            itself, in W+.
        learning_rate: its highest value. In 200 steps 0.1 comes nearer to a photograph than 0.05 (LPIPS 0.034 and
            0.042, means of five), at latents whose edits do a tenth less.
        rampup: share of the steps over which the learning rate rises from 0.
        rampdown: share of the steps over which it falls to 0, along a cosine.
        latent_noise: noise on the latents, in standard deviations of W; it finds the right neighborhood.
        latent_noise_ramp: share of the steps after which the noise is gone.
        num_w_samples: latents for the mean and the standard deviation of W.
        lpips: network of the perceptual loss.
        lpips_size: pixels a side at which it compares.
        lpips_weight: of that loss.
        face_weight: of the same loss on the middle of the image (an FFHQ face) at twice the resolution.
        pixel_weight: of the mean squared difference at `lpips_size`.
        identity_weight: of the squared distance of the face descriptors; it needs faces aligned as FFHQ is.
        spread_weight: of the mean squared distance of the style inputs' latents to their mean, in standard deviations
            of W.
        prior_weight: of the mean squared whitened coordinate in the PCA of W (the Mahalanobis length): the dial
            between distortion (0) and editability (large).
        optimize_noise: whether the generator's noise images are sought too.
        noise_weight: of the noise regularization, which keeps an image out of the noise.
        steps_per_chunk: steps of one compiled scan; between them progress is shown and the state is kept.
        patience: an image stops early when its loss has not fallen by a hundredth over so many steps; 0 for never.
        dtype: in which the perceptual network computes, "float32" or "bfloat16"; a generator has its own.
        seed: of latent noise and noise images.
    """

    num_steps: int = 1000
    num_w_steps: int = 300
    learning_rate: float = 0.05
    rampup: float = 0.05
    rampdown: float = 0.25
    latent_noise: float = 0.05
    latent_noise_ramp: float = 0.4
    num_w_samples: int = 10_000
    lpips: Literal["alex", "vgg16"] = "vgg16"
    lpips_size: int = 256
    lpips_weight: float = 1.0
    face_weight: float = 0.5
    pixel_weight: float = 0.1
    identity_weight: float = 0.2
    spread_weight: float = 0.005
    prior_weight: float = 0.01
    optimize_noise: bool = False
    noise_weight: float = 1e5
    steps_per_chunk: int = 25
    patience: int = 0
    dtype: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        def check(condition: bool, name: str, expected: str) -> None:
            if not condition:
                raise InputError(f"{name}: expected {expected}, got {getattr(self, name)!r}")

        for name in ("num_steps", "num_w_samples", "steps_per_chunk"):
            check(getattr(self, name) >= 1, name, "1 or more")
        check(0 <= self.num_w_steps <= self.num_steps, "num_w_steps", f"0 to num_steps = {self.num_steps}")
        check(self.learning_rate > 0, "learning_rate", "a number above 0")
        for name in ("rampup", "rampdown", "latent_noise_ramp"):
            check(0 <= getattr(self, name) <= 1, name, "a share, 0 to 1")
        for name in (
            "latent_noise",
            "lpips_weight",
            "face_weight",
            "pixel_weight",
            "identity_weight",
            "spread_weight",
            "prior_weight",
            "noise_weight",
            "patience",
        ):
            check(getattr(self, name) >= 0, name, "0 or more")
        check(self.lpips in ("alex", "vgg16"), "lpips", "alex or vgg16")
        check(self.lpips_size >= 64, "lpips_size", "64 or more")
        check(self.dtype in ("float32", "bfloat16"), "dtype", "float32 or bfloat16")

    @classmethod
    def fast(cls, **others: Any) -> "ProjectionConfig":
        """A face in W+ within three minutes on two CPU cores."""
        settings: dict[str, Any] = {
            "num_steps": 200,
            "num_w_steps": 40,
            "lpips": "alex",
            "latent_noise": 0.02,
            "latent_noise_ramp": 0.2,
        }
        return cls(**settings | others)

    @classmethod
    def quality(cls, **others: Any) -> "ProjectionConfig":
        """The default: a thousand steps with VGG16's LPIPS, for an accelerator."""
        return cls(**others)

    @classmethod
    def official(cls, **others: Any) -> "ProjectionConfig":
        """The published projector's settings, in W, with the noise images."""
        settings: dict[str, Any] = {
            "num_steps": 1000,
            "num_w_steps": 1000,
            "learning_rate": 0.1,
            "rampup": 0.05,
            "rampdown": 0.25,
            "latent_noise": 0.05,
            "latent_noise_ramp": 0.75,
            "lpips": "vgg16",
            "face_weight": 0.0,
            "pixel_weight": 0.0,
            "identity_weight": 0.0,
            "spread_weight": 0.0,
            "prior_weight": 0.0,
            "optimize_noise": True,
        }
        return cls(**settings | others)


@dataclasses.dataclass(frozen=True)
class TuningConfig:
    """How the weights are tuned.

    Attributes:
        num_steps: of Adam.
        learning_rate: its highest value, from which it falls along a cosine; relative to the root mean square of each
            array of weights.
        lpips_size: pixels a side at which the perceptual loss compares; the face counts at a higher resolution too.
        pixel_weight: of the mean squared difference.
        identity_weight: of the squared distance of the face descriptors; for faces aligned as FFHQ is.
        locality_weight: of the same losses between tuned and untuned generator near the pivot.
        locality_distance: how far from the pivot, in the length of latents (α of the paper).
        locality_every: in each so-many-th step.
        steps_per_chunk: steps of one compiled scan.
        seed: of the latents near by.
    """

    num_steps: int = 350
    learning_rate: float = 3e-4
    lpips_size: int = 256
    pixel_weight: float = 1.0
    identity_weight: float = 0.2
    locality_weight: float = 0.1
    locality_distance: float = 10.0
    locality_every: int = 4
    steps_per_chunk: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("num_steps", "locality_every", "steps_per_chunk"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        for name in ("pixel_weight", "identity_weight", "locality_weight", "locality_distance"):
            if getattr(self, name) < 0:
                raise InputError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if self.learning_rate <= 0 or self.lpips_size < 64:
            raise InputError("learning_rate and lpips_size: expected a number above 0, and 64 or more")

    @classmethod
    def fast(cls, **others: Any) -> "TuningConfig":
        """Some minutes on two CPU cores with the default generator."""
        return cls(**{"num_steps": 60, "learning_rate": 5e-4, **others})
