"""The exported page of tiny generators in Chromium: its mathematics, other servers, and files that are not right."""

import functools
import hashlib
import http.server
import json
import threading

import numpy as np
import pytest

from jaxedit.export.web.page import export_web
from jaxedit.export.web.serve import serve_page
from jaxedit.images import to_uint8
from jaxedit.latents.seed_stream import sample_z, w_of_seed
from tests.export.small_models import mobile_stylegan, normal, small_axes, stylegan2
from tests.export.web_visits import Visit

pytestmark = pytest.mark.slow

GENERATORS = {"curves": lambda: mobile_stylegan((16, 16, 8, 8)), "decoder": stylegan2}


def axes_of(path):
    return small_axes(GENERATORS[path]().num_ws if path == "curves" else None)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    for path, make in GENERATORS.items():
        export_web(make(), folder / path, axes=axes_of(path))
    return folder


@pytest.fixture
def served(folders):
    served = {path: serve_page(folders / path) for path in GENERATORS}
    yield served
    for one in served.values():
        one.close()


@pytest.mark.parametrize("path", GENERATORS)
def test_edits_and_images_are_those_of_the_library(browser, served, path):
    generator, axes = GENERATORS[path](), axes_of(path)
    visit = Visit(browser, served[path].url)
    visit.wait_for(7)
    visit.amount("smile", -1.5)
    visit.wait_for(7, {"smile": -1.5})
    w = w_of_seed(generator, 7, truncation_psi=0.7)
    expected = np.asarray(to_uint8(generator.synthesis(axes.edit(w, {"smile": -1.5}))))[0]
    assert visit.pixels().shape == expected.shape
    assert np.abs(visit.pixels() - expected).max() <= 1
    latents = normal(5, 8)
    positions = [-6.0, -1.3, 0.0, 0.7, 5.0]
    found = visit.page.evaluate(
        """async ([latents, positions, numWs]) => {
          const { Axes } = await import("/axes.js");
          const about = await (await fetch("axes.json")).json();
          const axes = new Axes(about, await (await fetch("axes.bin")).arrayBuffer(), numWs);
          const faces = latents.map((w) => axes.face(Float32Array.from(w)));
          const values = positions.map((position) => [0, 1].map((i) => axes.toValue(i, position)));
          return {
            codes: faces.map((face) => [...face.code]),
            edited: faces.map((face) => [...axes.edit(face, { age: 2.5, smile: -4 })]),
            same: faces.map((face) => [...axes.edit(face, {})]),
            values,
            again: values.map((row) => row.map((value, i) => axes.toPosition(i, value))),
          };
        }""",
        [latents.tolist(), positions, generator.num_ws],
    )
    np.testing.assert_allclose(found["codes"], axes.encode(latents), atol=1e-5)
    edited = np.asarray(axes.edit(latents, {"age": 2.5, "smile": -4.0})).reshape(5, -1, 8)
    edited = np.broadcast_to(edited, (5, generator.num_ws, 8))
    np.testing.assert_allclose(np.reshape(found["edited"], edited.shape), edited, atol=2e-5)
    same = np.reshape(found["same"], edited.shape).astype(np.float32)
    np.testing.assert_array_equal(same, np.broadcast_to(latents[:, None], edited.shape))
    both = np.float32(positions)[:, None].repeat(2, 1)
    np.testing.assert_allclose(
        found["values"], axes.quantile_transform.inverse_transform(both), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(found["again"], both, atol=1e-3)
    visit.close()


def test_faces_by_number_have_the_latents_of_the_library(browser, served):
    visit = Visit(browser, served["decoder"].url)
    seeds = [0, 7, 99_999, 2**32 - 1]
    found = visit.page.evaluate(
        """async (seeds) => {
          const { latentOfSeed } = await import("/seeds.js");
          return seeds.map((seed) => [...latentOfSeed(seed, 700)]);
        }""",
        seeds,
    )
    expected = np.concatenate([sample_z(seed, 1, 700) for seed in seeds])
    np.testing.assert_allclose(np.float32(found), expected, rtol=2e-7)
    visit.close()


@pytest.fixture
def plain_server(folders):
    """A server of static files that knows nothing of isolation."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format, *arguments):
            pass

    handler = functools.partial(Quiet, directory=str(folders / "decoder"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_any_server_of_static_files_will_do(browser, plain_server):
    visit = Visit(browser, plain_server)
    visit.page.wait_for_function("() => crossOriginIsolated")  # the page has loaded once more
    visit.wait_for(7)
    assert "threads" in visit.page.inner_text("#speed")
    visit.close()
    visit = Visit(browser, plain_server, service_workers="block")
    visit.wait_for(7)
    assert "one thread, so it is slower: this server does not send" in visit.page.inner_text("#speed")
    visit.close()


def test_another_export_at_the_same_address_takes_over(browser, folders):
    served = serve_page(folders / "decoder")
    visit = Visit(browser, served.url)
    visit.wait_for(7)
    assert visit.pixels().shape == (8, 8, 3)
    served.close()
    served = serve_page(folders / "curves", port=served.server.server_port)
    visit.page.reload()
    visit.page.wait_for_function("() => document.querySelector('#canvas').width === 64")
    visit.wait_for(7)
    generator = GENERATORS["curves"]()
    expected = np.asarray(to_uint8(generator.synthesis(w_of_seed(generator, 7, truncation_psi=0.7))))[0]
    assert np.abs(visit.pixels() - expected).max() <= 1
    assert len(np.unique(expected)) > 100
    visit.close()
    served.close()


def test_a_forced_reload_goes_past_the_service_worker(browser, served):
    visit = Visit(browser, served["decoder"].url)
    visit.wait_for(7)
    assert visit.page.evaluate("navigator.serviceWorker.controller !== null")
    with visit.page.expect_navigation():
        visit.context.new_cdp_session(visit.page).send("Page.reload", {"ignoreCache": True})
    visit.wait_for(7)
    assert visit.page.evaluate("navigator.serviceWorker.controller === null && crossOriginIsolated")
    visit.close()


def replace(folder, name, content, *, is_listed):
    """Another file in an export; if it is listed, the manifest names its size and hash."""
    (folder / name).write_bytes(content)
    if is_listed:
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("name", "change", "is_listed", "message"),
    [
        (
            "models/synthesis_1.onnx",
            lambda old, other: old[:-9] + b"123456789",
            False,
            "its SHA-256 is not that of",
        ),
        (
            "models/synthesis_1.onnx",
            lambda old, other: b"no model",
            True,
            "the runtime cannot read this model",
        ),
        ("models/synthesis_1.onnx", lambda old, other: other, True, "expected latents → image, found z"),
        ("axes.json", lambda old, other: b"[", True, "axes.json: expected JSON, found something else"),
        (
            "manifest.json",
            lambda old, other: b"{}",
            False,
            "expected that of an exported page, found something else",
        ),
    ],
)
def test_a_file_that_is_not_right_is_named_on_the_page(
    browser,
    folders,
    tmp_path,
    name,
    change,
    is_listed,
    message,
):
    folder = tmp_path / "page"
    export = {path.relative_to(folders / "decoder"): path for path in (folders / "decoder").rglob("*")}
    for place, path in sorted(export.items()):
        (folder / place).mkdir(parents=True) if path.is_dir() else None
        if path.is_file():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(path.read_bytes())
    served = serve_page(folder)
    other = (folder / "models" / "mapping.onnx").read_bytes()
    replace(folder, name, change((folder / name).read_bytes(), other), is_listed=is_listed)
    visit = Visit(browser, served.url)
    assert message in visit.problem()
    assert not visit.page.locator("#canvas").is_visible()
    visit.close()
    served.close()
