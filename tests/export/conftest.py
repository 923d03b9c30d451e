"""The exported page of the real generator, which the tests in a browser share."""

from pathlib import Path
from typing import NamedTuple

import pytest

from jaxedit.export.web.page import export_web
from jaxedit.export.web.serve import serve_page
from jaxedit.pretrained.encoders import load_encoder
from jaxedit.pretrained.registry import load_axes


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
