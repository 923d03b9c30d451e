"""Ridge regression: the one linear model by which attributes are predicted from latents."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float


def ridge(
    x: Float[Array, "num_samples k"],
    y: Float[Array, "num_samples num_targets"],
    *,
    penalty: float | Float[Array, ""] | None = None,
    weights: Float[Array, " num_samples"] | None = None,
    known: Bool[Array, "num_samples num_targets"] | None = None,
) -> Float[Array, "k num_targets"]:
    """Coefficients B = (XᵀX/n + αI)⁻¹ XᵀY/n of centered y on centered x, the minimum of ‖XB − Y‖²/n + α‖B‖².

    Args:
        x: samples, float32.
        y: targets, float32.
        penalty: α; by default k/n, the Bayesian choice for whitened x where signal and noise have the same variance
            and the signal is spread evenly over the k directions.
        weights: 1 for samples that count, 0 for those that do not; by default all count.
        known: which targets are known; by default all. The regression of each target is over the samples whose target
            is known, and n is their number.

    Examples:
        >>> import jax.numpy as jnp
        >>> from jaxedit.latents.ridge import ridge
        >>> x = jnp.array([[1.0], [-1.0]])
        >>> ridge(x, 3 * x, penalty=0.5).round(3).tolist()
        [[2.0]]
    """
    if known is not None:

        def one(target_and_known: tuple[Array, Array]) -> Array:
            target, is_known = target_and_known
            counts = is_known.astype(x.dtype) * (1 if weights is None else weights)
            target = jnp.where(is_known, target, 0.0)
            return ridge(x, target[:, None], penalty=penalty, weights=counts)[:, 0]

        # One after another: together, the weighted copies of x would fill the memory.
        return lax.map(one, (y.T, known.T)).T
    k = x.shape[1]
    if weights is None:
        n: Array | int = len(x)
        x, y = x - x.mean(0), y - y.mean(0)
    else:
        n, column = weights.sum(), weights[:, None]
        x, y = ((part - (part * column).sum(0) / n) * column for part in (x, y))

    def product(a: Array, b: Array) -> Array:
        return jnp.matmul(a.T, b, precision=lax.Precision.HIGHEST) / n

    alpha = k / n if penalty is None else penalty
    return jax.scipy.linalg.solve(product(x, x) + alpha * jnp.eye(k), product(x, y), assume_a="pos")
