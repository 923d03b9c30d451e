"""The table of a blind study that a reader fills in, the key, and the rates of the answers with Wilson's intervals."""

import dataclasses
import math
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jaxedit.attributes.faces.face_attributes import FACE_ATTRIBUTES
from jaxedit.errors import InputError
from jaxedit.storage.regular_files import read_text
from jaxedit.storage.runs import RunFolder

ANSWER_COLUMNS = {
    "more": ("L", "R", "="),
    "person": ("same", "other"),
    "flaw": ("none", "L", "R", "both"),
    "background": ("same", "changed"),
    "else": ("nothing", "something"),
    "preferred": ("L", "R", "="),
}
"""What a reader is asked of each pair, with the answers."""

RATES = {
    "right side": "the side moved up shows more of the attribute",
    "no difference": "neither side shows more",
    "other person": "the two sides are two people",
    "flaw": "a visible flaw on one side at least",
    "background": "the background changed",
    "nothing else": "nothing but the attribute changed",
    "prefers up": "the side moved up is preferred, of those with a preference",
}
"""The rates, by the title of their column."""

KEY_KIND = "key of a blind study"
"""Kind of the run folder of a key."""

_Z = 1.959964
"""95 % of N(0, 1) lie within."""


@dataclasses.dataclass(frozen=True)
class PairKey:
    """What a pair shows.

    Attributes:
        pair: its number on the sheets.
        attribute: what was moved.
        method: by which method.
        face: number of the face.
        side: "L" or "R": where the attribute was moved up.
    """

    pair: str
    attribute: str
    method: str
    face: int
    side: str


@dataclasses.dataclass(frozen=True)
class StudyKey:
    """The key of a study.

    Attributes:
        study: its number, which stands in the table of answers too.
        amount: by which the sides were moved.
        pairs: all pairs.
    """

    study: str
    amount: float
    pairs: tuple[PairKey, ...]

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """What a reader is asked, with the answers."""
        return ANSWER_COLUMNS


@dataclasses.dataclass(frozen=True)
class Rate:
    """A share of pairs.

    Attributes:
        hits: pairs of which it is true.
        count: all pairs that were asked.
    """

    hits: int
    count: int

    @property
    def share(self) -> float:
        """hits / count; NaN of none."""
        return self.hits / self.count if self.count else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval, which holds for few pairs and for shares near 0 and 1.

        Examples:
            >>> from jaxedit.evaluation.blind_answers import Rate
            >>> [round(end, 3) for end in Rate(18, 18).interval]
            [0.824, 1.0]
        """
        if not self.count:
            return math.nan, math.nan
        n, p, z2 = self.count, self.share, _Z**2
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return max(middle - half, 0.0), min(middle + half, 1.0)


def load_key(folder: str | Path) -> StudyKey:
    """The key that `write_blind_study` wrote.

    Raises:
        InputError: if the folder holds none, or a damaged one.
    """
    request = RunFolder.load(folder, kind=KEY_KIND).request
    try:
        pairs = tuple(PairKey(**pair) for pair in request["pairs"])
        return StudyKey(request["study"], request["amount"], pairs)
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder}: expected the key of a blind study, it is damaged: {error!r}") from error


def is_secret(value: object) -> bool:
    """Whether it is a secret of a key: 16 bytes in hexadecimal."""
    return isinstance(value, str) and len(value) == 32 and set(value) <= set(string.hexdigits)


def load_seed(folder: str | Path) -> int | str:
    """The seed of the sides that a key holds: a number that was asked for, or a secret in hexadecimal.

    Raises:
        InputError: if the folder holds none, or a damaged one.
    """
    seed: Any = RunFolder.load(folder, kind=KEY_KIND).request.get("seed")
    if is_secret(seed) or type(seed) is int:
        return seed
    raise InputError(f"{folder}: expected the key of a blind study, its seed is damaged: {seed!r}")


@runtime_checkable
class Key(Protocol):
    """What is known of a study to read its answers."""

    @property
    def study(self) -> str:
        """Its number."""
        ...

    @property
    def pairs(self) -> Sequence[Any]:
        """All pairs, with `pair` and `attribute`."""
        ...

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """What a reader is asked, with the answers."""
        ...


def read_answers(path: str | Path, key: Key) -> dict[str, dict[str, str]]:
    """The answers to each pair of a study.

    Raises:
        InputError: if the file is no table, belongs to another study, lacks a pair, has one twice or one that is none
            of the study, or an answer is missing or none of its column. The message names the line.
    """
    lines = read_text(path, expected="the answers of a blind study").splitlines()
    studies = [line.split()[2] for line in lines if line.startswith("# study ") and len(line.split()) > 2]
    if studies != [key.study]:
        found = f"study {studies[0]}" if studies else "no line '# study …'"
        raise InputError(f"{path}: expected answers to study {key.study}, whose key this is; found {found}")
    rows = [(i, line) for i, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    expected = ("pair", "attribute", *key.columns)
    header = [cell.strip() for cell in rows[0][1].split("\t")] if rows else []
    if tuple(name for name in header if name != "notes") != expected:
        raise InputError(f"{path}: expected the columns {', '.join(expected)}, separated by tabs")
    attributes = {pair.pair: pair.attribute for pair in key.pairs}
    answers: dict[str, dict[str, str]] = {}
    for number, line in rows[1:]:
        where, cells = f"{path}, line {number}", [cell.strip() for cell in line.split("\t")]
        row = dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=False))
        pair = row["pair"]
        if len(cells) > len(header) or attributes.get(pair) != row["attribute"]:
            raise InputError(
                f"{where}: expected a pair of the study with its attribute, found {pair!r}, {row['attribute']!r}"
            )
        if pair in answers:
            raise InputError(f"{where}: pair {pair}: expected each once, found it twice")
        for name, values in key.columns.items():
            if row[name] not in values:
                raise InputError(
                    f"{where}: pair {pair}: {name}: expected one of {' '.join(values)}, found "
                    f"{row[name] or 'nothing'!r}"
                )
        answers[pair] = row
    missing = [pair.pair for pair in key.pairs if pair.pair not in answers]
    if missing:
        some = ", ".join(missing[:8]) + (", …" if len(missing) > 8 else "")
        raise InputError(
            f"{path}: expected answers to {len(attributes)} pairs, {len(missing)} are missing: {some}"
        )
    return answers


def rates(key: StudyKey, answers: dict[str, dict[str, str]]) -> dict[tuple[str, str], dict[str, Rate]]:
    """The rates (`RATES`) by method and attribute; "all" stands for all attributes of a method."""
    groups: dict[tuple[str, str], list[PairKey]] = {}
    for name in dict.fromkeys(pair.method for pair in key.pairs):
        own = [pair for pair in key.pairs if pair.method == name]
        for attribute in dict.fromkeys(pair.attribute for pair in own):
            groups[name, attribute] = [pair for pair in own if pair.attribute == attribute]
        groups[name, "all"] = own
    return {group: _rates_of(pairs, answers) for group, pairs in groups.items()}


def _rates_of(pairs: Sequence[PairKey], answers: dict[str, dict[str, str]]) -> dict[str, Rate]:
    rows = [(pair, answers[pair.pair]) for pair in pairs]
    preferred = [(pair, row) for pair, row in rows if row["preferred"] != "="]
    count = len(rows)
    return {
        "right side": Rate(sum(row["more"] == pair.side for pair, row in rows), count),
        "no difference": Rate(sum(row["more"] == "=" for _, row in rows), count),
        "other person": Rate(sum(row["person"] == "other" for _, row in rows), count),
        "flaw": Rate(sum(row["flaw"] != "none" for _, row in rows), count),
        "background": Rate(sum(row["background"] == "changed" for _, row in rows), count),
        "nothing else": Rate(sum(row["else"] == "nothing" for _, row in rows), count),
        "prefers up": Rate(sum(row["preferred"] == pair.side for pair, row in preferred), len(preferred)),
    }


def describe_rates(
    found: Mapping[tuple[str, str], Mapping[str, Rate]], titles: Mapping[str, str] = RATES
) -> str:
    """A table for people: hits of count, share and interval in percent.

    Args:
        found: rates by method and attribute.
        titles: of the rates, with what they mean.
    """
    lines = [f"{'method':16}{'attribute':20}" + "".join(f"{title:>20}" for title in titles)]
    for (method, attribute), row in found.items():
        cells = ""
        for title in titles:
            rate = row[title]
            low, high = rate.interval
            text = f"{rate.hits}/{rate.count} [{low:.0%}, {high:.0%}]" if rate.count else "–"
            cells += f"{text.replace('%', ''):>20}"
        lines.append(f"{method:16}{attribute:20}{cells}")
    lines += ["", "Hits / pairs, and the 95 % interval in percent (Wilson)."]
    return "\n".join([*lines, *(f"  {title}: {meaning}" for title, meaning in titles.items())])


_QUESTIONS = {
    "more": "Which side shows more of the attribute? = if you see no difference.",
    "person": "Are the two sides the same person?",
    "flaw": "On which side is a visible flaw: a torn or smeared region, an impossible color, a melted thing?",
    "background": "Did what lies behind the person change?",
    "else": "Did nothing but the attribute change? Hair, clothes, light, pose, expression and background count.",
    "preferred": "Which side would you rather keep as an image? = if neither.",
}


def instructions(attributes: Sequence[str]) -> str:
    """What the reader of a study is asked, in Markdown."""
    shown = (
        "Each pair shows two images, left (L) and right (R), under one number. Of one of them an attribute was turned "
        "up, of the other down; which one is left to chance. The name of a sheet begins with the attribute."
    )
    return how_to_read(shown, attributes, _QUESTIONS, ANSWER_COLUMNS)


def how_to_read(
    shown: str,
    attributes: Sequence[str],
    questions: Mapping[str, str],
    columns: Mapping[str, tuple[str, ...]],
) -> str:
    """The page for a reader, in Markdown.

    Args:
        shown: what a pair shows.
        attributes: of the study.
        questions: by column.
        columns: with their answers.
    """
    known = {attribute.name: attribute.meaning for attribute in FACE_ATTRIBUTES}
    meanings = [f"- `{name}`: {known[name]}" for name in attributes if name in known]
    return "\n".join(
        [
            "# How to read the pairs",
            "",
            shown,
            "",
            f"Attributes: {', '.join(attributes)}.",
            *(["", "More of an attribute is:", "", *meanings] if meanings else []),
            "",
            "Fill in a line of answers.tsv for each pair. Judge by looking alone, each pair for itself; enlarge what "
            "is small. Do not think about which side was meant: say what you see.",
            "",
            "| column | question | answers |",
            "|---|---|---|",
            *(f"| `{name}` | {questions[name]} | {' · '.join(values)} |" for name, values in columns.items()),
            "",
            "`notes` is free. Leave no other cell empty.",
            "",
        ]
    )
