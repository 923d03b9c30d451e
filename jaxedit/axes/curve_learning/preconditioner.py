"""The preconditioner of the descent: the Gauss–Newton matrix of the loss, from derivatives at some images.

With J the derivative of the columns and descriptors with respect to the move of a latent, W their weights in the loss
ℓ (`jaxedit.axes.curve_learning.loss`), ρ its weight of length and λ the damping,

    H = E[Jᵀ W J] + (2ρ + λ) 1.

A batch moves a curve by −η H⁻¹ times its gradient. The same moments give the first tangent.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxedit.axes.curve_learning.loss import ColumnWeights, ImageLossConfig


@dataclasses.dataclass(frozen=True)
class Moments:
    """Mean and second moments of derivatives over images.

    Attributes:
        columns: E[JᵀJ] of each column.
        column_means: E[J] of each column.
        descriptors: E[JᵀJ] of each descriptor.
    """

    columns: Float[np.ndarray, "num_columns coordinates coordinates"]
    column_means: Float[np.ndarray, "num_columns coordinates"]
    descriptors: Float[np.ndarray, "num_descriptors coordinates coordinates"]

    @classmethod
    def of(
        cls,
        column_rows: Float[np.ndarray, "num_images num_columns coordinates"],
        descriptor_rows: Sequence[Float[np.ndarray, "_ coordinates"]] = (),
    ) -> "Moments":
        """Moments of rows of J.

        Single images in which a landmark jumps have derivatives a hundred times as long as others: rows longer than
        three times the median of their column are cut to that, and rows that are not finite are left out.

        Args:
            column_rows: of each image, one for each column.
            descriptor_rows: of each descriptor, rows for random signs ε of its entries: E[(εᵀ J x)²] = ‖J x‖².
        """

        def tidy(rows: np.ndarray) -> np.ndarray:
            rows = np.asarray(rows[np.isfinite(rows).all(1)], np.float64)
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            return rows * np.minimum(1, 3 * np.median(lengths) / np.maximum(lengths, 1e-30))

        columns = [tidy(rows) for rows in np.swapaxes(column_rows, 0, 1)]
        descriptors = [tidy(rows) for rows in descriptor_rows]
        coordinates = column_rows.shape[2]
        return cls(
            np.stack([rows.T @ rows / len(rows) for rows in columns]),
            np.stack([rows.mean(0) for rows in columns]),
            np.stack([rows.T @ rows / len(rows) for rows in descriptors])
            if descriptors
            else np.zeros((0, coordinates, coordinates)),
        )

    def inverse(
        self, weights: ColumnWeights, config: ImageLossConfig, *, damping: float
    ) -> Float[np.ndarray, "coordinates coordinates"]:
        """H⁻¹, with λ = damping · mean eigenvalue of E[Jᵀ W J]."""
        each = config.target * np.asarray(weights.target) + 2 * config.others * np.asarray(weights.others)
        total = np.tensordot(each, self.columns, 1)
        total += np.tensordot(2 * np.asarray(config.identity), self.descriptors, 1)
        size = len(total)
        return np.linalg.inv(total + (damping * np.trace(total) / size + 2 * config.length) * np.eye(size))

    def first_tangent(
        self, weights: ColumnWeights, config: ImageLossConfig, *, damping: float = 2.0
    ) -> Float[np.ndarray, " coordinates"]:
        """The best tangent if images were linear in the latent, changing its target by one on average.

        Few images determine thousands of coordinates badly: the damping is stronger than in a preconditioner.
        """
        target = np.asarray(weights.target) @ self.column_means
        tangent = self.inverse(weights, config, damping=damping) @ target
        return tangent / (target @ tangent)
