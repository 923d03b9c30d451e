"""Settings of projection and tuning."""

import dataclasses
from typing import Any, Literal

from jaxedit.errors import InputError


@dataclasses.dataclass(frozen=True)
class ProjectionConfig:
    """Settings of a projection.

    `official()` is the published projector (Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*,
    CVPR 2020, appendix D). The other presets search W+, keep the latent where edits work by a prior, and add losses of
    identity and of the face at a higher resolution. The loss is the sum of its terms, each times its weight.

    Attributes:
        num_steps: number of Adam steps.
        num_w_steps: number of the first steps that move all layers of W+ alike and so stay in W. The other steps move
            each layer by itself.
        learning_rate: its highest value. Over 200 steps, 0.1 reconstructs better than 0.05 (LPIPS 0.034 and 0.042,
            means of five photographs), at latents whose edits have a tenth less effect.
        rampup: share of the steps over which the learning rate rises from 0, linearly.
        rampdown: share of the steps over which it falls to 0, along a cosine.
        latent_noise: noise on the latents, in standard deviations of W. It makes the search find the right
            neighborhood.
        latent_noise_ramp: share of the steps after which that noise is gone.
        num_w_samples: number of latents that mean, standard deviation and PCA of W are measured with.
        lpips: network of the perceptual loss.
        lpips_size: pixels a side at which LPIPS compares; fewer where the crop or the generator's image is smaller.
        lpips_weight: weight of LPIPS.
        face_weight: weight of LPIPS on the middle of the image, which is the face in an FFHQ image, at twice the
            resolution.
        pixel_weight: weight of the mean squared difference at `lpips_size`.
        identity_weight: weight of the squared distance of face descriptors. It needs faces aligned as FFHQ is.
        spread_weight: weight of the mean squared distance of the layers to their mean, in standard deviations of W.
        prior_weight: weight of the mean squared whitened coordinate in the PCA of W (the Mahalanobis length). It
            trades distortion (0) for editability (large).
        optimize_noise: also search the generator's noise images.
        noise_weight: weight of the noise regularization, which keeps the image out of the noise images.
        steps_per_chunk: number of steps of one compiled scan. Progress is shown and the state kept between chunks.
        encoder_passes: number of passes of an encoder whose latent is the start; 0 starts at the mean of W. See
            `LatentPrior`.
        coordinates: what Adam's step sizes belong to: "w", the axes of W as they are, or "pca", the principal
            components of W in their standard deviations. In "pca" a search of few steps ends at likelier latents.
        patience: an image stops when its loss has not fallen by 1 % in so many steps; 0 for never.
        dtype: number format of the perceptual network, "float32" or "bfloat16".
        seed: seed of latent noise and noise images.

    Raises:
        InputError: if a setting is out of range.

    Examples:
        >>> from jaxedit import ProjectionConfig
        >>> ProjectionConfig.fast().num_steps
        200
        >>> in_w = ProjectionConfig.fast(num_w_steps=200)   # every step: the result stays in W
        >>> in_w.num_w_steps == in_w.num_steps
        True
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
    encoder_passes: int = 0
    coordinates: Literal["w", "pca"] = "w"
    patience: int = 0
    dtype: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        def check(condition: bool, name: str, expected: str) -> None:
            if not condition:
                raise InputError(f"{name}: expected {expected}, got {getattr(self, name)!r}")

        check(self.encoder_passes >= 0, "encoder_passes", "0 or more")
        if self.encoder_passes:
            check(self.num_steps >= 0, "num_steps", "0 or more")
        else:
            check(self.num_steps >= 1, "num_steps", "1 or more")
        for name in ("num_w_samples", "steps_per_chunk"):
            check(getattr(self, name) >= 1, name, "1 or more")
        check(self.coordinates in ("w", "pca"), "coordinates", "w or pca")
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
        """200 steps with AlexNet's LPIPS: a face in W+ within three minutes on two CPU cores."""
        settings: dict[str, Any] = {
            "num_steps": 200,
            "num_w_steps": 40,
            "lpips": "alex",
            "latent_noise": 0.02,
            "latent_noise_ramp": 0.2,
        }
        return cls(**settings | others)

    @classmethod
    def instant(cls, **others: Any) -> "ProjectionConfig":
        """An encoder's latent, and no step: less than a second on two CPU cores."""
        settings: dict[str, Any] = {"num_steps": 0, "num_w_steps": 0, "lpips": "alex", "encoder_passes": 1}
        return cls(**settings | others)

    @classmethod
    def quick(cls, **others: Any) -> "ProjectionConfig":
        """24 steps from an encoder's latent: a fraction of the time of `fast`, and of the likeness.

        So few steps come as near with a strong prior as without (LPIPS 0.11 on four photographs), and edits of their
        latents do a tenth more.
        """
        settings: dict[str, Any] = {
            "num_steps": 24,
            "num_w_steps": 0,
            "learning_rate": 0.15,
            "rampup": 0.1,
            "rampdown": 0.5,
            "latent_noise": 0.0,
            "lpips": "alex",
            "prior_weight": 0.3,
            "encoder_passes": 1,
            "coordinates": "pca",
        }
        return cls(**settings | others)

    @classmethod
    def quality(cls, **others: Any) -> "ProjectionConfig":
        """The defaults: 1000 steps with VGG16's LPIPS, for an accelerator."""
        return cls(**others)

    @classmethod
    def official(cls, **others: Any) -> "ProjectionConfig":
        """The published projector: 1000 steps in W, noise images optimized, LPIPS and noise regularization alone."""
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

    def describe(self) -> dict[str, Any]:
        """The settings, JSON-serializable. Those that came later are named only where they are not as before, so that
        projections of earlier versions are found."""
        described = dataclasses.asdict(self)
        for name, earlier in _LATER.items():
            if described[name] == earlier:
                del described[name]
        return described


_LATER = {"encoder_passes": 0, "coordinates": "w"}
"""Settings that earlier versions lack → what they did."""


@dataclasses.dataclass(frozen=True)
class TuningConfig:
    """Settings of a tuning.

    Attributes:
        num_steps: number of Adam steps.
        learning_rate: its highest value, from which it falls along a cosine; relative to the root mean square of each
            array of weights.
        lpips_size: pixels a side at which LPIPS compares; fewer where the crop or the generator's image is smaller. The
            middle of the image, the face, counts at twice the resolution too.
        pixel_weight: weight of the mean squared difference.
        identity_weight: weight of the squared distance of face descriptors, for faces aligned as FFHQ is.
        locality_weight: weight of the same losses between the tuned and the untuned generator near the pivot.
        locality_distance: distance from the pivot at which they are compared, in the length of latents (α of the
            paper).
        locality_every: the locality loss is computed in every so-many-th step.
        steps_per_chunk: number of steps of one compiled scan.
        seed: seed of the latents near the pivot.

    Raises:
        InputError: if a setting is out of range.
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
    def fine(cls, **others: Any) -> "TuningConfig":
        """100 larger steps without the locality loss, after a search of few steps: in all no longer than 200 steps of
        a search."""
        settings: dict[str, Any] = {"num_steps": 100, "learning_rate": 1e-3, "locality_weight": 0.0}
        return cls(**settings | others)

    @classmethod
    def fast(cls, **others: Any) -> "TuningConfig":
        """60 steps: some minutes on two CPU cores with the default generator."""
        return cls(**{"num_steps": 60, "learning_rate": 5e-4, **others})
