"""Edits as two views see them: the networks that the default axes were learned through, and others.

    python -m benchmarks.quality.two_views
    python -m benchmarks.quality.two_views --num-latents 30 --json results.json

The second view of what was read off faces by eye is a head on the features of another network, learned from the same
marks; that of the others are face networks by other authors. Colors and light are measured, not recognized, and have
no second view. Edits are drawn at the attributes' places, as `jaxedit edit` does.
"""

from pathlib import Path
from typing import Annotated

import jax.numpy as jnp
import typer

from benchmarks.reporting import Rows, finish
from jaxedit.attributes.person.places import FacePlaces
from jaxedit.attributes.user_classifier import face_classifiers, load_classifiers
from jaxedit.evaluation.in_places import PlacingGenerator
from jaxedit.evaluation.views import fooled, view_edits
from jaxedit.latents.seed_stream import sample_z
from jaxedit.pretrained.registry import load_axes, load_generator
from jaxedit.pretrained.second_view import load_second_view

_NAME = "mobile-stylegan-ffhq"


def run(num_latents: int, amount: float, seed: int, batch_size: int) -> Rows:
    """A row for each attribute and direction that has a second view."""
    generator, axes = load_generator(_NAME), load_axes(_NAME)
    w = generator.mapping(jnp.asarray(sample_z(seed, num_latents, generator.z_dim)), truncation_psi=0.7)
    edits = view_edits(
        PlacingGenerator(generator, FacePlaces.from_pretrained()),
        axes,
        load_classifiers(face_classifiers(axes.attribute_names)),
        load_second_view(_NAME),
        w,
        amount=amount,
        batch_size=batch_size,
    )
    print(f"seen by the first view alone: {', '.join(fooled(edits)) or 'none'}")
    return [
        {
            "axis": edit.attribute,
            "amount": edit.amount,
            "first view": edit.first,
            "second view": sum(edit.second.values()) / len(edit.second),
            "agreement": float("nan") if edit.agreement is None else edit.agreement,
            "of": ", ".join(f"{name} {change:+.2f}" for name, change in edit.second.items()),
        }
        for edit in edits
    ]


def main(
    num_latents: Annotated[int, typer.Option(help="faces; each is drawn twice for each axis")] = 12,
    amount: Annotated[float, typer.Option(help="standard deviations, either way")] = 1.5,
    seed: Annotated[int, typer.Option(help="of the faces; the axes were learned from seed 0")] = 99,
    batch_size: Annotated[int, typer.Option(help="images at once")] = 4,
    json: Annotated[Path | None, typer.Option(help="also write the numbers here")] = None,
) -> None:
    """Measure edits of the default axes by two views."""
    rows = run(num_latents, amount, seed, batch_size)
    finish("two views", {f"{num_latents} faces, ψ = 0.7, seed {seed}": rows}, json)


if __name__ == "__main__":
    typer.run(main)
