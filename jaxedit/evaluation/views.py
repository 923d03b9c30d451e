"""Whether an edit is there for two unlike views: the networks that it was learned through, and others.

An edit that was learned through a network pleases that network first. Another view of the same concept (a head on other
frozen features, a network by other authors) has not been pleased: what moves the one and not the other has fooled it.
"""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxedit.attributes.classifier import AttributeClassifier, as_argument
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.errors import InputError
from jaxedit.evaluation.effects import read_latents
from jaxedit.evaluation.evaluators import IndependentNetworks
from jaxedit.evaluation.in_places import method_of
from jaxedit.generators.protocol import Generator
from jaxedit.labels.quantile_transform import fit_quantile_transform

LEAST_CHANGE = 0.3
"""Change in standard deviations, by the first view, from which on a direction is compared."""

FOOLED_BELOW = 0.5
"""Share of the first view's change: a view that sees less has not been pleased."""


@dataclasses.dataclass(frozen=True)
class ViewedEdit:
    """One edit as two views see it.

    Attributes:
        attribute: that was moved.
        amount: by how much, in standard deviations.
        first: mean change by the view of the axes, in standard deviations.
        second: mean change by each column of the second view, `attribute@network`, in standard deviations.
    """

    attribute: str
    amount: float
    first: float
    second: dict[str, float]

    @property
    def agreement(self) -> float | None:
        """Mean change by the second view relative to the first; None where the first sees hardly any."""
        if abs(self.first) < LEAST_CHANGE:
            return None
        return float(np.mean(list(self.second.values()))) / self.first

    @property
    def fooled(self) -> bool:
        """Whether the first view sees a change, and the second less than half of it."""
        return self.agreement is not None and self.agreement < FOOLED_BELOW


def view_edits(
    generator: Generator,
    axes: AttributeAxes,
    classifier: AttributeClassifier,
    second: IndependentNetworks,
    w: Float[Array | np.ndarray, "num_latents w_dim"],
    *,
    amount: float = 1.5,
    batch_size: int = 4,
    progress: bool = True,
) -> list[ViewedEdit]:
    """Measure edits along axes by two views.

    Args:
        generator: makes the images; a `PlacingGenerator` draws edits at their places.
        axes: those moved, each that the second view has a column of.
        classifier: of the axes, the first view.
        second: other networks of the same attributes, with a reference that gives them their standard deviations.
        w: latents that are edited.
        amount: standard deviations, either way.
        batch_size: images at once: 4 suits a CPU, 32 and more an accelerator.
        progress: whether to show a bar.

    Returns:
        Each attribute of the axes that the second view knows, upwards and downwards.

    Raises:
        InputError: if the second view knows none of the attributes, has no reference, or its values do not vary.
    """
    stands_for = dict(zip(second.columns, second.attribute_of_column, strict=True))
    columns = {
        name: [column for column, attribute in stands_for.items() if attribute == name]
        for name in axes.attribute_names
    }
    columns = {name: found for name, found in columns.items() if found}
    if not columns or second.reference is None:
        raise InputError(
            f"second view: expected a reference, and columns of {', '.join(axes.attribute_names)}; got "
            f"{'no reference' if second.reference is None else ', '.join(second.columns)}"
        )
    own = [tuple(classifier.names).index(name) for name in axes.attribute_names]
    networks = [as_argument(classifier), as_argument(second.classifier)]
    scale = fit_quantile_transform(np.asarray(second.reference), second.columns)
    total = len(w) * (1 + 2 * len(columns))
    with tqdm(total=total, desc="two views", unit="image", disable=not progress) as bar:

        def positions(latents: Array) -> tuple[np.ndarray, np.ndarray]:
            values, others = read_latents(generator, networks, latents, batch_size, bar)
            return (
                np.asarray(axes.quantile_transform.transform(jnp.asarray(values[:, own]))),
                np.asarray(scale.transform(jnp.asarray(others))),
            )

        method, before = method_of(generator, axes), positions(jnp.asarray(w))
        found = []
        for name, which in columns.items():
            at = axes.attribute_names.index(name)
            for signed in (amount, -amount):
                after = positions(method.edit(jnp.asarray(w), name, jnp.full(len(w), signed, jnp.float32)))
                seen = {c: float((after[1] - before[1])[:, second.columns.index(c)].mean()) for c in which}
                found.append(ViewedEdit(name, signed, float((after[0] - before[0])[:, at].mean()), seen))
    return found


def fooled(edits: Sequence[ViewedEdit]) -> list[str]:
    """Edits that only the first view sees, as "smile up"."""
    return [f"{edit.attribute} {'up' if edit.amount > 0 else 'down'}" for edit in edits if edit.fooled]
