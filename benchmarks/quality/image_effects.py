"""Effects of the default axes in images: effect, leakage and identity distance, read by classifiers.

    python -m benchmarks.quality.image_effects
    python -m benchmarks.quality.image_effects --num-latents 60 --amount 1 --json results.json

The classifiers that gave the labels also read these images, which flatters the axes. The latents are of another seed.
Edits are drawn at the attributes' places, as `jaxedit edit` does.
"""

from pathlib import Path
from typing import Annotated

import jax.numpy as jnp
import numpy as np
import typer

from benchmarks.reporting import Rows, finish
from jaxedit.attributes.faces.face_attributes import FaceIdentity
from jaxedit.attributes.person.places import FacePlaces
from jaxedit.attributes.user_classifier import face_classifiers, load_classifiers
from jaxedit.evaluation.effects import EffectsConfig, effect_matrix
from jaxedit.evaluation.in_places import PlacingGenerator
from jaxedit.latents.seed_stream import sample_z
from jaxedit.pretrained.registry import load_axes, load_generator

_NAME = "mobile-stylegan-ffhq"


def run(
    num_latents: int, amount: float, truncation_psi: float, seed: int, batch_size: int, everywhere: bool
) -> Rows:
    """A row for each axis, and one of means."""
    generator, axes = load_generator(_NAME), load_axes(_NAME)
    drawn = generator if everywhere else PlacingGenerator(generator, FacePlaces.from_pretrained())
    z = jnp.asarray(sample_z(seed, num_latents, generator.z_dim))
    w = generator.mapping(z, truncation_psi=truncation_psi)
    config = EffectsConfig(amount=amount, batch_size=batch_size)
    classifier = load_classifiers(face_classifiers(axes.attribute_names))
    effects = effect_matrix(drawn, axes, classifier, w, config, identity=FaceIdentity())
    assert effects.identity_distance is not None
    rows: Rows = []
    for i, name in enumerate(effects.target_names):
        others = np.abs(np.delete(effects.effects[i], i))
        largest = np.delete(np.array(effects.measured_names), i)[others.argmax()]
        rows.append(
            {
                "axis": name,
                f"own change at {amount:g} σ": float(effects.effects[i, i]),
                "leakage": float(effects.leakage[i]),
                "identity distance": float(effects.identity_distance[i]),
                "largest other change": float(others.max()),
                "of": str(largest),
            }
        )
    numbers = [key for key in rows[0] if key not in ("axis", "of")]
    return [*rows, {"axis": "mean"} | {key: float(np.mean([row[key] for row in rows])) for key in numbers}]


def main(
    num_latents: Annotated[int, typer.Option(help="faces; each is rendered twice for each axis")] = 12,
    amount: Annotated[float, typer.Option(help="standard deviations, either way")] = 1.5,
    truncation_psi: Annotated[float, typer.Option(help="of the faces")] = 0.7,
    seed: Annotated[int, typer.Option(help="of the faces; the axes were learned from seed 0")] = 99,
    batch_size: Annotated[int, typer.Option(help="images at once")] = 4,
    everywhere: Annotated[bool, typer.Option(help="change whole images, not the attributes' places")] = False,
    json: Annotated[Path | None, typer.Option(help="also write the numbers here")] = None,
) -> None:
    """Measure the default axes."""
    where = "whole images" if everywhere else "at the places of the attributes"
    title = f"{num_latents} faces, ψ = {truncation_psi:g}, seed {seed}, {where}"
    rows = run(num_latents, amount, truncation_psi, seed, batch_size, everywhere)
    finish("image effects", {title: rows}, json)


if __name__ == "__main__":
    typer.run(main)
