"""Blind comparisons of two methods: one face, edited by both to the same measured change, the sides by chance.

A pair shows the unedited face in the middle, the edit of one method on its left and that of the other on its right.
Both were moved until a classifier saw the same mean change, so that what is asked is how well they did it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxedit.errors import InputError
from jaxedit.evaluation.blind_answers import KEY_KIND, Rate, how_to_read
from jaxedit.evaluation.blind_study import (
    BlindConfig,
    StudyFolders,
    random_of,
    shown_pair,
    study_number,
    told_of,
    write_sheets,
)
from jaxedit.evaluation.equal_change import amount_of_change
from jaxedit.evaluation.evaluators import Evaluators
from jaxedit.evaluation.measurement import Measurement
from jaxedit.evaluation.methods import EditingMethod
from jaxedit.evaluation.readings import Readings
from jaxedit.evaluation.scales import in_standard_deviations, scales_of
from jaxedit.generators.protocol import Generator
from jaxedit.labels.quantile_transform import QuantileTransform
from jaxedit.storage.runs import RunFolder

COMPARED_COLUMNS = {
    "clearer": ("L", "R", "="),
    "person": ("both", "L", "R", "neither"),
    "flaw": ("none", "L", "R", "both"),
    "background": ("none", "L", "R", "both"),
    "preferred": ("L", "R", "="),
}
"""What a reader is asked of each pair, with the answers."""

QUESTIONS = {
    "clearer": "On which side is the change that the sheet names clearer? = if on both or on neither.",
    "person": "On which sides is it still the person in the middle?",
    "flaw": "On which sides is a visible flaw that the middle does not have?",
    "background": "On which sides did what lies behind the person change?",
    "preferred": "Which side would you keep as the edit that the sheet names? = if neither.",
}

COMPARED_RATES = {
    "preferred": "its edit is kept, of the pairs with a preference",
    "clearer": "its change is clearer, of the pairs with a difference",
    "other person": "its edit shows another person",
    "flaw": "its edit has a visible flaw",
    "background": "its edit changed the background",
}
"""The rates of each method, by the title of their column."""

_SHOWN = (
    "Each pair shows three images under one number. The one in the middle is the face as it was; on the left (L) and "
    "on the right (R) two methods edited it. Which method is where is left to chance. The name of a sheet and the "
    "table say what was asked for: more of the attribute (up) or less of it (down)."
)
_FORM = "comparison"
_GRID = (0.5, 1.0, 1.75, 2.75, 4.0)
"""Sizes of the amounts at which the change is measured."""


@dataclasses.dataclass(frozen=True)
class ComparedPair:
    """What a pair shows.

    Attributes:
        pair: its number on the sheets.
        attribute: what was moved, and where to: "smile up".
        face: number of the face.
        left: the method on the left.
        right: the method on the right.
    """

    pair: str
    attribute: str
    face: int
    left: str
    right: str


@dataclasses.dataclass(frozen=True)
class ComparisonKey:
    """The key of a comparison.

    Attributes:
        study: its number, which stands in the table of answers too.
        change: of the target that both methods make, in standard deviations.
        amounts: of each method, by attribute and direction: "smile up".
        pairs: all pairs.
    """

    study: str
    change: float
    amounts: Mapping[str, Mapping[str, float]]
    pairs: tuple[ComparedPair, ...]

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """What a reader is asked, with the answers."""
        return COMPARED_COLUMNS


def amounts_of_equal_change(
    generator: Generator,
    methods: Sequence[EditingMethod],
    w: Float[Array | np.ndarray, "num_faces w_dim"],
    evaluators: Evaluators,
    attributes: Sequence[str],
    *,
    change: float,
    batch_size: int = 4,
    progress: bool = True,
) -> dict[str, dict[str, float]]:
    """The amounts at which each method changes each attribute by ±`change` standard deviations, on average over faces.

    A direction of which a method does not reach half is left out: most faces have no beard to lose.

    Args:
        generator: makes the images.
        methods: have all the attributes.
        w: latents of the faces.
        evaluators: their classifier measures; its reference says what a standard deviation is. Where independent
            networks know an attribute too, the change is the mean of both views: an edit pleases the network that it
            was learned through first.
        attributes: which.
        change: in standard deviations.
        batch_size: images at once.
        progress: whether to show a bar.

    Raises:
        InputError: if the classifier lacks an attribute, or neither of its directions is reached half by both methods.
    """
    names = tuple(evaluators.classifier.names)
    missing = [name for name in attributes if name not in names]
    if missing:
        raise InputError(f"classifier: expected the attribute {missing[0]!r}, it has {', '.join(names)}")
    grid = np.asarray([side * size for side in (-1, 1) for size in _GRID], np.float32)
    total = len(w) * (1 + len(grid) * len(methods) * len(attributes))
    found: dict[str, dict[str, float]] = {method.name: {} for method in methods}
    short: dict[str, tuple[str, float]] = {}
    with tqdm(total=total, desc="amounts", unit="image", disable=not progress) as bar:
        measurement = Measurement(generator, evaluators, w, batch_size, bar)
        unedited = measurement.read_unedited()
        views = _Views(evaluators, scales_of(evaluators, unedited))
        before = {attribute: views.positions(unedited, attribute) for attribute in attributes}
        for method in methods:
            for attribute in attributes:

                def edit(w: Array, amounts: Array, method=method, attribute=attribute) -> Array:  # type: ignore[no-untyped-def]
                    return method.edit(w, attribute, amounts)

                edited = measurement.read_edited(edit, grid, len(w), unedited)
                moved = (views.positions(edited, attribute) - before[attribute]).mean(1)
                for direction, side in (("down", -1), ("up", 1)):
                    mine = grid * side > 0
                    reached = float((side * moved[mine]).max())
                    if reached < change / 2:
                        short.setdefault(f"{attribute} {direction}", (method.name, reached))
                        continue
                    size = amount_of_change(side * grid[mine], side * moved[mine], change)
                    found[method.name][f"{attribute} {direction}"] = side * size
    for attribute in attributes:
        if {f"{attribute} down", f"{attribute} up"} <= set(short):
            name, reached = short[f"{attribute} down"]
            raise InputError(
                f"method {name!r}: expected a change of {attribute} down by {change:g} standard deviations, it reaches "
                f"{reached:.2f} at amounts up to {_GRID[-1]:g}; ask for less"
            )
    found = {
        name: {what: amount for what, amount in mine.items() if what not in short}
        for name, mine in found.items()
    }
    return found


@dataclasses.dataclass(frozen=True)
class _Views:
    """All networks that measure an attribute, in standard deviations."""

    evaluators: Evaluators
    scales: Mapping[str, QuantileTransform]

    def positions(self, readings: Readings, attribute: str) -> Float[np.ndarray, "*amounts num_faces"]:
        """The mean of the classifier's position and that of the independent columns of the attribute, if any."""
        seen = [self._of("values", self.evaluators.classifier.names, readings, {attribute})]
        for name, networks in self.evaluators.independent.items():
            of = zip(networks.columns, networks.attribute_of_column, strict=True)
            wanted = {column for column, stands_for in of if stands_for == attribute}
            if wanted:
                seen.append(self._of(f"independent.{name}", networks.columns, readings, wanted))
        return np.mean(seen, axis=0)

    def _of(
        self, key: str, columns: Sequence[str], readings: Readings, wanted: set[str]
    ) -> Float[np.ndarray, "*amounts num_faces"]:
        at = [i for i, column in enumerate(columns) if column in wanted]
        return in_standard_deviations(self.scales[key], readings[key])[..., at].mean(-1)


def write_blind_comparison(
    generator: Generator,
    methods: Sequence[EditingMethod],
    w: Float[Array | np.ndarray, "num_faces w_dim"],
    amounts: Mapping[str, Mapping[str, float]],
    config: BlindConfig,
    *,
    folders: StudyFolders,
    progress: bool = True,
) -> ComparisonKey:
    """Write the sheets of a comparison for its reader, and the key apart from them; resumes as `write_blind_study`.

    Args:
        generator: makes the images.
        methods: two, with all attributes of the study.
        w: latents of the faces, which no method has learned from.
        amounts: of each method for each attribute and direction (`amounts_of_equal_change`).
        config: the study; its `amount` is the change, in standard deviations.
        folders: for the reader, and for the key.
        progress: whether to show bars.

    Raises:
        InputError: if there are not two methods, an attribute is missing, the faces are not as many as the study's,
            the key of a study that has begun is missing, or a folder holds something else.
        OutputError: if a folder cannot be written.
    """
    if len(methods) != 2 or methods[0].name == methods[1].name:
        raise InputError(
            f"methods: expected two, each with a name of its own, got {', '.join(m.name for m in methods)}"
        )
    for attribute in config.attributes:
        without = [method.name for method in methods if attribute not in method.attribute_names]
        if without:
            raise InputError(f"attribute {attribute!r}: expected it of both methods, {without[0]!r} lacks it")
    if len(w) != config.faces:
        raise InputError(f"w: expected {config.faces} faces, got {len(w)}")
    seed = folders.seed(config)
    key = _make_key(methods, w, amounts, config, seed)
    by_name = {method.name: method for method in methods}

    def latents(pair: ComparedPair) -> list[Array]:
        face = jnp.asarray(w, jnp.float32)[pair.face][None]
        attribute = pair.attribute.rpartition(" ")[0]
        edits = [
            by_name[name].edit(face, attribute, jnp.asarray([amounts[name][pair.attribute]], jnp.float32))
            for name in (pair.left, pair.right)
        ]
        return [edits[0], face, edits[1]]

    def draw(pairs: Sequence[ComparedPair], text: str | None) -> np.ndarray:
        return shown_pair([latents(pair) for pair in pairs], generator, config, text)

    write_sheets(
        folders,
        key,
        dataclasses.asdict(key) | {"form": _FORM, "seed": seed} | told_of(methods, config.attributes),
        config,
        draw,
        how_to_read(_SHOWN, config.attributes, QUESTIONS, COMPARED_COLUMNS),
        progress=progress,
    )
    return key


def _make_key(
    methods: Sequence[EditingMethod],
    w: Float[Array | np.ndarray, "num_faces w_dim"],
    amounts: Mapping[str, Mapping[str, float]],
    config: BlindConfig,
    seed: int | str,
) -> ComparisonKey:
    random = random_of(seed)
    pairs: list[ComparedPair] = []
    for attribute in config.attributes:
        for direction in ("up", "down"):
            if any(f"{attribute} {direction}" not in mine for mine in amounts.values()):
                continue
            for face in random.permutation(config.faces):
                left, right = (methods[i].name for i in random.permutation(2))
                pairs.append(
                    ComparedPair(f"{len(pairs):04d}", f"{attribute} {direction}", int(face), left, right)
                )
    faces = np.asarray(w, np.float32).round(2).tolist()
    study = study_number(seed, pairs, sorted(amounts), config.amount, faces)
    rounded = {name: {k: round(v, 4) for k, v in mine.items()} for name, mine in amounts.items()}
    return ComparisonKey(study, config.amount, rounded, tuple(pairs))


def load_comparison_key(folder: str | Path) -> ComparisonKey | None:
    """The key that `write_blind_comparison` wrote; None where it is that of another study.

    Raises:
        InputError: if the folder holds no key, or a damaged one.
    """
    request = RunFolder.load(folder, kind=KEY_KIND).request
    if request.get("form") != _FORM:
        return None
    try:
        pairs = tuple(ComparedPair(**pair) for pair in request["pairs"])
        return ComparisonKey(request["study"], request["change"], request["amounts"], pairs)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{folder}: expected the key of a blind comparison, it is damaged: {error!r}"
        ) from error


def comparison_rates(
    key: ComparisonKey, answers: Mapping[str, Mapping[str, str]]
) -> dict[tuple[str, str], dict[str, Rate]]:
    """The rates (`COMPARED_RATES`) by method and attribute; "all" stands for all attributes of a method."""
    methods = sorted({name for pair in key.pairs for name in (pair.left, pair.right)})
    attributes = list(dict.fromkeys(pair.attribute for pair in key.pairs))
    return {
        (name, attribute): _rates_of(
            name, [pair for pair in key.pairs if attribute in ("all", pair.attribute)], answers
        )
        for name in methods
        for attribute in (*attributes, "all")
    }


def _rates_of(
    name: str, pairs: Sequence[ComparedPair], answers: Mapping[str, Mapping[str, str]]
) -> dict[str, Rate]:
    rows = [("L" if pair.left == name else "R", answers[pair.pair]) for pair in pairs]

    def chosen(column: str) -> Rate:
        decided = [(side, row) for side, row in rows if row[column] != "="]
        return Rate(sum(row[column] == side for side, row in decided), len(decided))

    def marked(column: str) -> int:
        return sum(row[column] in (side, "both") for side, row in rows)

    return {
        "preferred": chosen("preferred"),
        "clearer": chosen("clearer"),
        "other person": Rate(len(rows) - marked("person"), len(rows)),
        "flaw": Rate(marked("flaw"), len(rows)),
        "background": Rate(marked("background"), len(rows)),
    }
