"""The grids of the ablations: cells, and studies that vary one setting."""

import dataclasses
from typing import Any, NamedTuple

from jaxedit.axes import AxesConfig

CLOSED_FORM = {"num_steps": 1, "num_epochs": None, "learning_rate": 1e-12, "input_noise": 0.0}
"""One training step of length zero: the linear path before training, in closed form."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """One configuration, its data and its seeds.

    Attributes:
        config: the configuration, with seed 0.
        num_components: k of the PCA.
        num_labels: number of labels from the training split.
        seeds: seeds of initial weights and batches, one training each.
    """

    config: AxesConfig
    num_components: int
    num_labels: int
    seeds: tuple[int, ...]


class Point(NamedTuple):
    """A cell with its label in a study."""

    label: str
    cell: Cell


class Study(NamedTuple):
    """Cells that differ in one setting."""

    title: str
    points: list[Point]


VALUES: dict[str, dict[str, list[Any]]] = {
    "small": {
        "num_components": [60],
        "num_layers": [2],
        "hidden_width": [64],
        "attribute_weight": [1e-3],
        "decorrelation_weight": [0.0],
        "linear_damping": [0.0],
        "input_noise": [0.0],
        "num_labels": [1024],
        "split_seed": [1],
    },
    "default": {
        "num_components": [60, 100, 200, 300],
        "num_layers": [1, 2, 3, 4],
        "hidden_width": [64, 256, 512],
        "attribute_weight": [1e-4, 1e-3, 1e-2, 1e-1],
        "decorrelation_weight": [0.0, 1e-4, 1e-3, 1e-2],
        "linear_damping": [0.0, 0.1, 0.3, 1.0],
        "input_noise": [0.0, 0.5, 1.0, 2.0],
        "num_labels": [512, 1024, 2048],
        "split_seed": [0, 1, 2],
    },
    "large": {
        "num_components": [25, 40, 60, 80, 100, 150, 200, 300, 400, 512],
        "num_layers": [1, 2, 3, 4, 6, 8],
        "hidden_width": [32, 64, 128, 256, 512, 1024],
        "attribute_weight": [1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0],
        "decorrelation_weight": [0.0, 1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 1e-1],
        "linear_damping": [0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 3.0],
        "input_noise": [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0],
        "num_labels": [384, 512, 768, 1024, 1536, 2048, 3072, 4096],
        "split_seed": [0, 1, 2, 3, 4],
    },
}
"""Values of each study, by size of the grid. `studies` adds the default value where it is missing."""

SEEDS = {"small": 2, "default": 3, "large": 5}
"""Number of seeds by size of the grid."""


def studies(
    size: str, base: AxesConfig, num_components: int, num_training: int, num_attributes: int, num_seeds: int
) -> dict[str, Study]:
    """The studies of a grid, by name.

    Args:
        size: "small", "default" or "large".
        base: default configuration.
        num_components: default number of components.
        num_training: number of labels in the training split.
        num_attributes: number of attributes, the least number of components.
        num_seeds: seeds of each cell.
    """
    values, seeds = VALUES[size], tuple(range(num_seeds))
    default = Cell(base, num_components, num_training, seeds)

    def vary(**changes: Any) -> Cell:
        return dataclasses.replace(default, config=dataclasses.replace(base, **changes))

    def closed(cell: Cell, **changes: Any) -> Cell:
        """The closed form has no randomness, so it takes one seed."""
        config = dataclasses.replace(cell.config, **(CLOSED_FORM | changes))
        return dataclasses.replace(cell, config=config, seeds=(0,))

    def numbers(name: str, own: float) -> list[Any]:
        return sorted({*values[name], own})

    found: dict[str, Study] = {}
    components = [k for k in numbers("num_components", num_components) if k >= num_attributes]
    found["num_components"] = Study(
        "components k", [Point(f"{k}", dataclasses.replace(default, num_components=k)) for k in components]
    )
    for name, title in (
        ("num_layers", "layers"),
        ("hidden_width", "hidden width"),
        ("attribute_weight", "attribute weight"),
        ("linear_damping", "damping δ"),
        ("input_noise", "input noise"),
    ):
        own = numbers(name, getattr(base, name))
        found[name] = Study(title, [Point(f"{value:g}", vary(**{name: value})) for value in own])
    weights = numbers("decorrelation_weight", base.decorrelation_weight)
    other = "identity" if base.decorrelation_target == "natural" else "natural"
    for name, target in (
        ("decorrelation_weight", base.decorrelation_target),
        ("decorrelation_weight_other_target", other),
    ):
        # With weight zero the target has no effect.
        points = [
            Point(
                f"{weight:g}",
                vary(decorrelation_weight=weight, decorrelation_target=target)
                if weight
                else vary(decorrelation_weight=0.0),
            )
            for weight in weights
        ]
        found[name] = Study(f"decorrelation weight, {target} target", points)
    fewer = [
        (f"{n}", dataclasses.replace(default, num_labels=n))
        for n in numbers("num_labels", num_training)
        if base.batch_size <= n <= num_training
    ]
    found["num_labels"] = Study("labels", [Point(n, cell) for n, cell in fewer])
    found["num_labels_closed_form"] = Study(
        "labels, linear path alone", [Point(n, closed(cell)) for n, cell in fewer]
    )
    found["parts"] = Study(
        "parts",
        [
            Point("linear path + network", default),
            Point("linear path alone", closed(default)),
            Point("linear path alone, δ = 0", closed(default, linear_damping=0.0)),
            Point("network alone", vary(linear_path=False, input_noise=0.0)),
        ],
    )
    found["split_seed"] = Study(
        "held-out split", [Point(f"{s}", vary(split_seed=s)) for s in numbers("split_seed", base.split_seed)]
    )
    if size != "small":
        paper_seeds = seeds if size == "large" else (0,)
        published = AxesConfig.paper(split_seed=base.split_seed)
        heavier = dataclasses.replace(
            published, attribute_weight=base.attribute_weight, decorrelation_weight=base.decorrelation_weight
        )
        found["recipe"] = Study(
            "recipe",
            [
                Point("default", default),
                Point("published", Cell(published, 60, num_training, paper_seeds)),
                Point("published, default loss weights", Cell(heavier, 60, num_training, paper_seeds)),
            ],
        )
    return found
