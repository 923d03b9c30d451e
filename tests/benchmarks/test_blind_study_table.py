"""The table of the docs is that of the readers' answers."""

from pathlib import Path

from benchmarks.quality.blind_study import last_rates, table
from jaxedit.pretrained.registry import load_axes

DOCS = Path(__file__).parents[2] / "docs" / "results.md"


def test_the_docs_show_what_was_read_of_every_shipped_axis():
    found = last_rates()
    assert set(found) == set(load_axes("mobile-stylegan-ffhq").attribute_names)
    assert {
        rate.count for rates in found.values() for what, rate in rates.items() if what != "prefers up"
    } == {18}
    shown = DOCS.read_text().split("<!-- blind study -->")[1].split("<!-- end -->")[0]
    assert shown.strip() == table(found, list(found))
