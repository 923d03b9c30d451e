"""Images at the size at which losses compare, with cheap derivatives."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxedit.attributes.faces.crop import MIN_SIZE as MIN_IDENTITY_SIZE
from jaxedit.errors import InputError, LeftOutWarning
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.mobile_stylegan.preview import half_size
from jaxedit.generators.protocol import Generator, check_square_rgb
from jaxedit.nn.lpips import MIN_SIZE as MIN_LPIPS_SIZE
from jaxedit.nn.platform_branch import platform_branch
from jaxedit.nn.resize import average_pool, resample, shrink

FACE_START, FACE_EXTENT = (0.125, 0.1875), 0.75
"""Left, top and side of the middle of an FFHQ image, in fractions of its side: from the hair line to the chin."""

_SIXTEENTHS = 16  # of the side: the part's edges lie on them


@dataclasses.dataclass(frozen=True)
class LossSizes:
    """Pixels a side at which losses compare: one size for target and rendering, whatever sizes they have.

    Attributes:
        whole: of the image, for LPIPS and the pixel loss.
        face: of its middle; 0 where there are too few pixels for LPIPS.
        identity: of the image for the face descriptor; 0 where there are too few pixels.
    """

    whole: int
    face: int
    identity: int

    @classmethod
    def of(cls, rendering: int, target: int, lpips_size: int) -> "LossSizes":
        """The largest sizes that both images have, up to those that the settings ask for.

        Args:
            rendering: pixels a side of the images that the losses see.
            target: pixels a side of the targets.
            lpips_size: pixels a side at which LPIPS compares at most.

        Raises:
            InputError: if LPIPS needs more pixels than there are.
        """
        side = min(rendering, target)
        if side < MIN_LPIPS_SIZE:
            raise InputError(
                f"images: LPIPS needs {MIN_LPIPS_SIZE} pixels a side or more, got renderings of {rendering} and "
                f"targets of {target}"
            )
        face, identity = min(lpips_size, int(FACE_EXTENT * side)), min(2 * lpips_size, side)
        return cls(
            whole=min(lpips_size, side),
            face=face if face >= MIN_LPIPS_SIZE else 0,
            identity=identity if identity >= MIN_IDENTITY_SIZE else 0,
        )

    def warn_of_left_out(self, rendering: int, target: int, *, face: bool, identity: bool) -> None:
        """Warn of each loss that is asked for and left out, because it needs more pixels than there are.

        Args:
            rendering: as for `of`.
            target: as for `of`.
            face: whether the settings ask for the loss of the face.
            identity: whether they ask for the identity loss.
        """
        sides = f"of renderings with {rendering} and targets with {target} pixels a side"
        if face and not self.face:
            warnings.warn(
                f"the loss of the face is left out: LPIPS needs {MIN_LPIPS_SIZE} pixels a side of the middle {sides}",
                LeftOutWarning,
                stacklevel=2,
            )
        if identity and not self.identity:
            warnings.warn(
                f"the identity loss is left out: the face descriptor needs {MIN_IDENTITY_SIZE} pixels a side {sides}",
                LeftOutWarning,
                stacklevel=2,
            )


def rendered_side(generator: Generator, *, is_cheap: bool) -> int:
    """Pixels a side of the images of `render`.

    Raises:
        InputError: if the generator's images are not square RGB, which the losses need.
    """
    check_square_rgb(generator, use="projection")
    return generator.resolution // (2 if is_cheap and isinstance(generator, MobileStyleGAN) else 1)


def render(
    generator: Generator,
    w_plus: Float[Array, "batch num_ws w_dim"],
    noise: dict[str, Array] | None,
    *,
    is_cheap: bool,
) -> Float[Array, "batch height width 3"]:
    """Render latents, where the generator can at half size with cheap derivatives.

    Args:
        generator: makes the images.
        w_plus: latents.
        noise: noise images of a StyleGAN2 by layer, [batch, height, width]; None for the generator's own.
        is_cheap: whether half the size and derivatives by latents alone suffice; faster on a CPU.
    """
    if is_cheap and isinstance(generator, MobileStyleGAN):
        return platform_branch(
            generator,
            w_plus,
            cpu=half_size,
            default=lambda generator, w: average_pool(generator.synthesis(w), 2),
        )
    return generator.synthesis(w_plus) if noise is None else generator.synthesis(w_plus, noise=noise)  # type: ignore[call-arg]


def face_part(
    images: Float[Array, "batch height width channels"], size: int
) -> Float[Array, "batch _ _ channels"]:
    """The middle of FFHQ-style images, shrunk to `size` pixels a side."""
    side = images.shape[1]
    if side % _SIXTEENTHS:  # its edges lie within pixels
        return resample(images, size, start=FACE_START, extent=FACE_EXTENT)
    left, top = (round(share * side) for share in FACE_START)
    extent = round(FACE_EXTENT * side)
    part = images[:, top : top + extent, left : left + extent]
    return shrink(part, size)


def clip_softly(images: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Clip the values to [-1, 1] and pass the gradient unclipped, so that values beyond are pulled back."""
    return images + jax.lax.stop_gradient(jnp.clip(images, -1, 1) - images)
