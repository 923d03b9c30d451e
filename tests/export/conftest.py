"""The exported page of the real generator, which the tests in a browser share."""

from pathlib import Path
from typing import NamedTuple

import pytest

from jaxedit.export.web.page import export_web
from jaxedit.export.web.serve import serve_page
from jaxedit.pretrained.encoders import load_encoder
from jaxedit.pretrained.registry import load_axes
from tests.export.web_visits import Visit


class RealPage(NamedTuple):
    url: str
    folder: Path


@pytest.fixture(scope="session")
def axes(generator):
    return load_axes("mobile-stylegan-ffhq", generator)


@pytest.fixture(scope="session")
def encoder(generator):
    return load_encoder("mobile-stylegan-ffhq", generator)


@pytest.fixture(scope="session")
def served(generator, axes, encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("web") / "page"
    export_web(generator, folder, axes=axes, encoder=encoder, license_note="The weights are for research.")
    served = serve_page(folder)
    yield RealPage(served.url, folder)
    served.close()


@pytest.fixture
def visit(browser, served):
    """A person who opens the page; nothing goes wrong on it, and it asks nobody else for anything."""
    visit = Visit(browser, served.url)
    visit.wait_for(7)
    yield visit
    visit.close()
    assert visit.errors == []
    assert visit.hosts == {served.url.split("/")[2]}
