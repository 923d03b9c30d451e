"""Curves for classifiers that are not differentiable: regression on responses to random moves.

Each group of layers of a latent is moved at random, there and back, and the classifier reads both images. With m the
moves (whitened coordinates) and y half the difference of the positions, a ridge regression gives the mean derivative J,

    J = argmin Σ ‖y − J m‖² + λ ‖J‖²,

and the tangents are those that are best if images were linear in the latent. Curvatures stay zero. Calibration in full
images follows as for learned curves.

This works less well than descent on gradients. A regression promises what the image does not keep: `docs/science.md`
shows how leakage measured by linear probes underestimates that in edited images. Use it where there are no gradients.
"""

import numpy as np
from jaxtyping import Float

from jaxedit.axes.curve_learning.descent import Curve
from jaxedit.axes.curve_learning.loss import EditModel
from jaxedit.axes.curve_learning.preconditioner import Moments
from jaxedit.axes.curve_learning.refinement import Refinement
from jaxedit.axes.curve_learning.stages import read_moved
from jaxedit.storage.arrays import ArrayOf

_MOVE = 0.25
"""Of each whitened coordinate of each group, in standard deviations."""

_MOVES_PER_UNIT = 64


def regress(r: Refinement, model: EditModel) -> dict[str, Curve]:
    """The curves of all targets from responses to random moves, as many images as a descent would render."""
    moves, responses = _responses(r, model)
    derivatives = ridge_derivatives(moves, responses)
    moments = Moments.of(derivatives[None])
    curves = {}
    for name in r.targets:
        tangent = moments.first_tangent(r.weights(name), r.loss, damping=0.1).reshape(r.shape)
        curves[name] = (tangent, np.zeros_like(tangent))
    return curves


def ridge_derivatives(
    moves: Float[np.ndarray, "num_moves coordinates"], responses: Float[np.ndarray, "num_moves num_columns"]
) -> Float[np.ndarray, "num_columns coordinates"]:
    """J, with λ by generalized cross-validation (Golub, Heath and Wahba, 1979), one for each column."""
    u, singular, vt = np.linalg.svd(np.asarray(moves, np.float64), full_matrices=False)
    projected = u.T @ np.asarray(responses, np.float64)
    outside = (np.asarray(responses, np.float64) ** 2).sum(0) - (projected**2).sum(0)
    rows = []
    for column in range(responses.shape[1]):
        errors = {}
        for penalty in np.geomspace(1e-4, 1e2, 25) * singular.max() ** 2:
            shrunk = penalty / (singular**2 + penalty)
            residual = (shrunk**2 * projected[:, column] ** 2).sum() + max(outside[column], 0.0)
            freedom = len(moves) - (1 - shrunk).sum()
            errors[penalty] = residual / max(freedom, 1e-9) ** 2
        penalty = min(errors, key=lambda key: errors[key])
        rows.append(vt.T @ (singular / (singular**2 + penalty) * projected[:, column]))
    return np.stack(rows)


def _responses(r: Refinement, model: EditModel) -> tuple[np.ndarray, np.ndarray]:
    """Random moves, and half the difference of the positions there and back."""
    total = max(r.config.num_images * len(r.targets) // 2, 2)
    moves, responses = [], []
    with r.bar("regression", 2 * total, "image") as bar:
        for number, start in enumerate(range(0, total, _MOVES_PER_UNIT)):
            count = min(_MOVES_PER_UNIT, total - start)
            random = np.random.default_rng([r.config.seed, number])
            latents = random.integers(len(r.w), size=count)
            some = (_MOVE * random.standard_normal((count, *r.shape))).astype(np.float32)

            def make(latents: np.ndarray = latents, some: np.ndarray = some) -> dict[str, np.ndarray]:
                sides = [read_moved(r, model, r.w[latents], side * some) for side in (1, -1)]
                return {"responses": (sides[0] - sides[1]) / 2}

            expected = {"responses": ArrayOf("f", (count, len(r.columns)), is_finite=True)}
            unit = r.run.get_or_make(f"regression/{number:05d}", make, arrays=expected)
            responses.append(unit["responses"])
            moves.append(some.reshape(count, -1))
            bar.update(2 * count)
    return np.concatenate(moves), np.concatenate(responses)
