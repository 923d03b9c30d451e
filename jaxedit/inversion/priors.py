"""Regularizations of a projection: pure functions of latents and noise images."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxedit.latents.pca import PCA
from jaxedit.nn.resize import average_pool


def spread(w_plus: Float[Array, "batch num_ws w_dim"], w_std: Float[Array, ""]) -> Float[Array, " batch"]:
    """Mean squared distance of the layers of W+ to their mean, in standard deviations of W; 0 in W.

    After the delta loss of Tov et al., *Designing an Encoder for StyleGAN Image Manipulation*, SIGGRAPH 2021: the
    nearer W+ is to W, the better edits work.
    """
    difference = w_plus - w_plus.mean(1, keepdims=True)
    return jnp.square(difference).sum(2).mean(1) / w_std**2


def prior(w_plus: Float[Array, "batch num_ws w_dim"], pca: PCA) -> Float[Array, " batch"]:
    """Mean squared whitened coordinate in the PCA of W: Mahalanobis length² / w_dim; 1 on average for latents of W."""
    centered = w_plus - pca.mean
    scale = jnp.sqrt(pca.explained_variance + 1e-6 * pca.explained_variance[0])
    whitened = (centered @ pca.components.T) / scale
    return jnp.square(whitened).mean((1, 2))


def noise_regularity(noise: dict[str, Array]) -> Float[Array, " batch"]:
    """Squared correlation of noise images with themselves shifted by a pixel, summed over all scales down to 8 pixels.

    Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, CVPR 2020, appendix D: noise that stays
    white holds no image. Noise images of 4×4 count at their one scale.
    """
    total = jnp.zeros(())
    for image in noise.values():
        while True:
            for axis in (1, 2):
                total = total + jnp.square((image * jnp.roll(image, 1, axis)).mean((1, 2)))
            if image.shape[1] <= 8:
                break
            image = average_pool(image[..., None], 2)[..., 0]
    return total


def white(noise: dict[str, Array]) -> dict[str, Array]:
    """Noise images normalized to mean 0 and mean square 1."""

    def one(image: Array) -> Array:
        image = image - image.mean((1, 2), keepdims=True)
        return image / jnp.sqrt(jnp.square(image).mean((1, 2), keepdims=True))

    return {name: one(image) for name, image in noise.items()}
