from html.parser import HTMLParser

import pytest

from jaxedit.errors import OutputError
from jaxedit.evaluation.report.page import PageImage, Section, Table, write_report


class _Tags(HTMLParser):
    """Collects tags; fails when one is closed that was not opened."""

    VOID = ("meta", "img", "link", "br")

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def page(tmp_path):
    path = write_report(
        tmp_path / "index.html",
        title="Title <b>",
        lead="Lead & more",
        headlines=[("0.93", "correlation")],
        sections=[
            Section(
                "Images", ("Text",), (PageImage("a b.png", 'Alt "quoted"', "Caption", 40, 30),), wide=True
            ),
            Section(
                "Numbers", tables=(Table("Times", ("stage", "seconds"), (("<script>", "1.5"), ("b", "–"))),)
            ),
        ],
        footer=["License"],
    )
    tags = _Tags()
    tags.feed(path.read_text(encoding="utf-8"))
    assert not tags.open
    return tags


def test_all_parts_are_there(page):
    text = " ".join(page.text)
    for part in (
        "Lead & more",
        "0.93",
        "correlation",
        "Images",
        "Text",
        "Caption",
        "Times",
        "1.5",
        "License",
    ):
        assert part in text


def test_images_have_alt_text_and_size(page):
    (image,) = (attributes for tag, attributes in page.seen if tag == "img")
    assert image["alt"] == 'Alt "quoted"'
    assert (image["width"], image["height"]) == ("40", "30")


def test_texts_are_escaped(page):
    assert "Title <b>" in page.text
    assert "<script>" in page.text
    assert not [tag for tag, _ in page.seen if tag in ("script", "b")]


def test_the_page_loads_no_other_files(page):
    for _, attributes in page.seen:
        for name in ("src", "href"):
            assert not attributes.get(name, "").startswith(("http", "//", "/"))


@pytest.mark.parametrize(
    ("cell", "numeric"), [("1.5", True), ("−3", True), ("2e-05", True), ("constant", False)]
)
def test_columns_of_numbers(cell, numeric):
    assert Table("", ("a", "b"), (("x", cell), ("y", "–"))).numeric == (False, numeric)


def test_unwritable_page(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        write_report(tmp_path / "file" / "index.html", title="", lead="", headlines=[], sections=[])
