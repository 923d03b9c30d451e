"""The mapping network of the StyleGAN family, the truncation trick, and the base class of such generators."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxedit.errors import InputError
from jaxedit.generators.protocol import check_latents
from jaxedit.nn.layers import Affine, leaky_relu
from jaxedit.nn.parameters import Buffer, Params


def _pixel_norm(x: Float[Array, "batch width"]) -> Float[Array, "batch width"]:
    return x * jax.lax.rsqrt(jnp.mean(x**2, axis=1, keepdims=True) + 1e-8)


class MappingNetwork(nnx.Module):
    """z ↦ w: pixel norm, then layers of (affine, leaky ReLU 0.2, × √2).

    Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, CVPR 2020. The learning-rate multiplier
    of the original is folded into the weights. A conditional one (StyleGAN2-ADA) appends the class to z: an affine map
    of its one-hot vector, normalized as z is.

    Args:
        params: `layers`: "0", "1", … each with `weight` [in, out] and `bias` [out]; for a conditional network `embed`,
            likewise.
    """

    def __init__(self, params: Params) -> None:
        layers = params["layers"]
        self.embed = nnx.data(Affine(params["embed"]) if "embed" in params else None)
        self.layers = nnx.List([Affine(layers[str(i)]) for i in range(len(layers))])

    @jax.jit
    def __call__(
        self, z: Float[Array, "batch z_dim"], c: Float[Array, "classes c_dim"] | None = None
    ) -> Float[Array, "batch w_dim"]:
        """Latents of W."""
        x = _pixel_norm(z)
        if self.embed is not None and c is not None:
            x = jnp.concatenate([x, _pixel_norm(self.embed(c))], axis=1)
        for layer in self.layers:
            x = leaky_relu(layer(x)) * np.sqrt(2).astype(np.float32)
        return x


class MappedGenerator(nnx.Module):
    """Base class of the families: dimensions from the config, and `mapping`.

    A family sets `family`, `config`, `mapping_network` and `w_avg`, and adds `synthesis`.
    """

    family: str
    config: Any
    mapping_network: MappingNetwork
    w_avg: Buffer

    @property
    def z_dim(self) -> int:
        """Width of the input latent."""
        return self.config.z_dim

    @property
    def c_dim(self) -> int:
        """Number of classes; 0 for an unconditional generator."""
        return getattr(self.config, "c_dim", 0)

    @property
    def w_dim(self) -> int:
        """Width of the intermediate latent."""
        return self.config.w_dim

    @property
    def num_ws(self) -> int:
        """Number of layers of W+."""
        return self.config.num_ws

    @property
    def resolution(self) -> int:
        """Height and width of the image; of one that is not square, the longer side."""
        return self.config.resolution

    def mapping(
        self,
        z: Float[Array | np.ndarray, "batch z_dim"],
        *,
        c: Float[Array | np.ndarray, "classes c_dim"] | None = None,
        truncation_psi: float | Float[Array, ""] = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]:
        """z ↦ w.

        Args:
            z: input latents, N(0, I), float32.
            c: one-hot classes, for a conditional generator only.
            truncation_psi: ψ of the truncation trick: 1 leaves w as it is, 0 gives the mean of W.
            truncation_cutoff: how many of the first layers of W+ are truncated; None for all.

        Returns:
            Latents of W; of W+ when there is a cutoff, since the layers then differ.

        Raises:
            InputError: if z or c has another shape, c is missing or superfluous, or the cutoff is not in 0…num_ws.
        """
        psi, cutoff = truncation_psi, truncation_cutoff
        check_latents("z", z, width=self.z_dim)
        if c is None and self.c_dim:
            raise InputError(
                f"c: expected classes [batch, {self.c_dim}] for a conditional generator, got none"
            )
        if c is not None:
            if not self.c_dim:
                raise InputError("c: expected none for an unconditional generator")
            check_latents("c", c, width=self.c_dim)
            if len(c) != len(z):
                raise InputError(f"c: expected one for each of {len(z)} latents, got {len(c)}")
        if cutoff is not None and not 0 <= cutoff <= self.num_ws:
            raise InputError(f"truncation_cutoff: expected None or 0…{self.num_ws}, got {cutoff}")
        w = self.mapping_network(jnp.asarray(z), None if c is None else jnp.asarray(c))
        if isinstance(psi, float | int) and psi == 1 and cutoff is None:
            return w
        return truncate(w, self.w_avg[...], psi=psi, cutoff=cutoff, num_ws=self.num_ws)

    def describe(self) -> dict[str, Any]:
        """Family and config, JSON-serializable: with `module_params`, all that is needed to rebuild the generator."""
        return {"family": self.family} | dataclasses.asdict(self.config)


def truncate(
    w: Float[Array, "batch w_dim"],
    w_avg: Float[Array, " w_dim"],
    *,
    psi: float | Float[Array, ""],
    cutoff: int | None,
    num_ws: int,
) -> Float[Array, "batch w_dim"] | Float[Array, "batch num_ws w_dim"]:
    """The truncation trick, w_avg + ψ (w − w_avg): Karras et al., CVPR 2019 (arXiv 1812.04948), appendix B.

    Args:
        w: latents of W.
        w_avg: their mean.
        psi: 1 leaves w as it is, 0 gives the mean.
        cutoff: how many of the first layers of W+ are truncated; None for all.
        num_ws: number of layers of W+.

    Returns:
        Latents of W; of W+ when there is a cutoff, since the layers then differ.
    """
    truncated = w_avg + psi * (w - w_avg)
    if cutoff is None:
        return truncated
    is_truncated = jnp.arange(num_ws) < cutoff
    return jnp.where(is_truncated[:, None], truncated[:, None, :], w[:, None, :])
