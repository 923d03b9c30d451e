"""What readers saw who did not know the key, as the table of the docs:

    python -m benchmarks.quality.blind_study

prints it from the answers and keys in `benchmarks/results/blind_study`. A folder holds one study: `answers.tsv` as the
reader filled it in, and `key`. Of an attribute that was read in several rounds, the last round counts.
"""

from collections.abc import Sequence
from pathlib import Path

from jaxedit.evaluation.blind_answers import Rate, load_key, rates, read_answers

RESULTS = Path(__file__).resolve().parents[1] / "results" / "blind_study"

_WHOLE = ("pose_skin", "age_hair", "background", "worn_1", "worn_2", "shapes_2", "worn_3", "worn_4")
_PLACED = ("worn", "pose", "age_skin", "small", "hair", "light", "worn_2", "hair_2", "smile", "age_2")

ROUNDS = (*_WHOLE, *(f"placed_{name}" for name in _PLACED))
"""In the order in which they were read; those at last with edits drawn at their places."""

_SHOWN = ("right side", "other person", "flaw", "background", "nothing else")


def last_rates(folder: Path = RESULTS) -> dict[str, dict[str, Rate]]:
    """The rates of each attribute in the last round that it was read in, by name."""
    found: dict[str, dict[str, Rate]] = {}
    for name in ROUNDS:
        study = load_key(folder / name / "key")
        for (_, attribute), row in rates(study, read_answers(folder / name / "answers.tsv", study)).items():
            if attribute != "all":
                found[attribute] = row
    return found


def table(found: dict[str, dict[str, Rate]], order: Sequence[str]) -> str:
    """Markdown: a row an attribute, and one of all."""
    lines = ["| attribute | " + " | ".join(_SHOWN) + " |", "|---" + "|--:" * len(_SHOWN) + "|"]
    for name in order:
        lines.append(f"| `{name}` | " + " | ".join(f"{found[name][what].hits}" for what in _SHOWN) + " |")
    sums = [
        (sum(found[n][what].hits for n in order), sum(found[n][what].count for n in order)) for what in _SHOWN
    ]
    lines.append("| **all** | " + " | ".join(f"**{hits} of {pairs}**" for hits, pairs in sums) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    found = last_rates()
    print(table(found, list(found)))


if __name__ == "__main__":
    main()
