import json
import re
import subprocess
import sys

import pytest
from PIL import Image

from jaxedit.axes import AttributeAxes, AxesConfig
from jaxedit.demos.faces import run_demo
from jaxedit.errors import InputError, OutputError

CONFIG = AxesConfig(num_steps=10, steps_per_chunk=5)


_CODE = """
import sys
from jaxedit.demos import faces as demo
from jaxedit.axes import AxesConfig
demo._cached_classifier = lambda: None  # as for most users: no face networks in the cache
config = AxesConfig(num_steps=10, steps_per_chunk=5)
demo.run_demo(sys.argv[1], faces=1, config=config, attribute_names=["age", "smile"])
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    # In a process of its own: its peak memory is reported, and that of this one is the other tests'.
    out = tmp_path_factory.mktemp("demo") / "out"
    done = subprocess.run(
        [sys.executable, "-c", _CODE, str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return out / "index.html"


@pytest.mark.slow
def test_page_shows_images_that_exist(page):
    html = page.read_text(encoding="utf-8")
    images = re.findall(r'<img src="([^"]+)" width="(\d+)" height="(\d+)" alt="([^"]+)"', html)
    assert len(images) == html.count("<img") == 6  # overview, one face, four plots
    for name, width, height, _ in images:
        with Image.open(page.parent / name) as image:
            assert image.size == (int(width), int(height))


@pytest.mark.slow
def test_page_names_licence_and_numbers(page):
    html = page.read_text(encoding="utf-8")
    for part in (
        "non-commercial",
        "peak memory",
        "learn the axes",
        "jax",
        "attribute weight",
        "skin lightness",
    ):
        assert part in html


@pytest.mark.slow
def test_metrics_hold_times_memory_and_each_attribute(page):
    metrics = json.loads((page.parent / "metrics.json").read_text())
    assert metrics["total_seconds"] == pytest.approx(sum(metrics["seconds"].values()), abs=0.1)
    assert 0.1 < metrics["peak_memory_gb"] < 6
    assert {"age", "smile"} <= metrics["attributes"].keys()
    assert metrics["attributes"]["age"]["axis_label_correlation"] > 0.7
    assert metrics["config"]["num_steps"] == 10


@pytest.mark.slow
def test_axes_load_from_the_checkpoint(page):
    axes = AttributeAxes.load(page.parent / "checkpoint")
    assert axes.config == CONFIG
    assert "age" in axes.attribute_names


@pytest.mark.slow
def test_no_temporary_files_stay(page):
    assert not [path for path in page.parent.rglob("*") if path.name.endswith(".partial")]


def test_wrong_numbers(tmp_path):
    with pytest.raises(InputError, match="faces"):
        run_demo(tmp_path, faces=0)
    with pytest.raises(InputError, match="seed"):
        run_demo(tmp_path, seed=-1)


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="could not make"):
        run_demo(tmp_path / "file" / "demo")
