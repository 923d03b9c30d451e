"""The mapping network of the StyleGAN family, and the truncation trick."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.generators.layers import Affine, Params, leaky_relu


class MappingNetwork(nnx.Module):
    """z ↦ w: pixel norm, then layers of (affine, leaky ReLU 0.2, × √2).

    Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, CVPR 2020. The learning-rate multiplier
    of the original is folded into the weights.

    Args:
        params: `layers`: "0", "1", … each with `weight` [in, out] and `bias` [out].
    """

    def __init__(self, params: Params) -> None:
        layers = params["layers"]
        self.layers = nnx.List([Affine(layers[str(i)]) for i in range(len(layers))])

    @jax.jit
    def __call__(self, z: Float[Array, "batch z_dim"]) -> Float[Array, "batch w_dim"]:
        """Latents of W."""
        x = z * jax.lax.rsqrt(jnp.mean(z**2, axis=1, keepdims=True) + 1e-8)
        for layer in self.layers:
            x = leaky_relu(layer(x)) * np.sqrt(2).astype(np.float32)
        return x


def truncate(
    w: Float[Array, "batch w_dim"],
    w_avg: Float[Array, " w_dim"],
    *,
    psi: float | Float[Array, ""],
    cutoff: int | None,
    num_ws: int,
) -> Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]:
    """The truncation trick: w_avg + ψ (w − w_avg).

    Args:
        w: latents of W.
        w_avg: their mean.
        psi: 1 leaves w as it is, 0 gives the mean.
        cutoff: how many of the first style inputs are truncated; None for all.
        num_ws: number of style inputs.

    Returns:
        Latents of W; of W+ when there is a cutoff, since the style inputs then differ.
    """
    truncated = w_avg + psi * (w - w_avg)
    if cutoff is None:
        return truncated
    is_truncated = jnp.arange(num_ws) < cutoff
    return jnp.where(is_truncated[:, None], truncated[:, None, :], w[:, None, :])
