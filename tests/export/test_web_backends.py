"""What the exported page draws with, in Chromium: WebGPU (here computed by software) and WebAssembly."""

import contextlib
import hashlib
import json
import shutil

import numpy as np
import pytest

from jaxedit.export.web.models import mixing_model
from jaxedit.export.web.page import export_web
from jaxedit.export.web.serve import serve_page
from jaxedit.images import to_uint8
from jaxedit.latents.seed_stream import w_of_seed
from tests.export.small_models import mobile_stylegan, normal, small_axes, stylegan2
from tests.export.web_visits import SECONDS, Visit

pytestmark = pytest.mark.slow

SOFTWARE = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
GENERATORS = {"mobile": lambda: mobile_stylegan((16, 16, 8, 8, 8)), "stylegan2": stylegan2}
WITH_WEBGPU = "asyncify.wasm"
PATIENCE = 300 * SECONDS
"""Software translates each program of WebGPU first, which takes seconds."""

_LINE = "(words) => document.querySelector('#speed').textContent.includes(words)"

_IN_PLACES = """async ([backend, latents, masks]) => {
  const { Engine } = await import("/engine.js");
  const { throughInPlaces } = await import("/in_places.js");
  const engine = await Engine.load(new URL("./", location.href).href, () => {}, backend);
  const given = latents.map((rows) => engine.tensorOf(Float32Array.from(rows)));
  const cells = masks.map((pair) => {
    const [place, colors] = pair.map((mask) => Float32Array.from(mask));
    return { place, colors };
  });
  const locations = [];
  let [features, result] = [given.map(() => null), null];
  for (const stage of engine.stages) {
    const run = (which, features) => stage.run({ latents: given[which], ...(features && { features }) });
    const mixed = (...three) => engine.mixed(...three);
    result = await throughInPlaces(stage.side, features, cells, { run, mixed });
    features = result.after;
    locations.push(features[0]?.location);
  }
  return [locations, [...result.image.data]];
}"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    for name, make in GENERATORS.items():
        generator = make()
        export_web(generator, folder / name, axes=small_axes(generator.num_ws))
    return folder


@pytest.fixture(scope="module")
def software(launch):
    """A Chromium with a graphics processor in software."""
    return launch(*SOFTWARE)


@contextlib.contextmanager
def visited(browser, folder, query="", **options):
    """A person on the page of a folder; nothing goes wrong there."""
    served = serve_page(folder)
    visit = Visit(browser, served.url + query, **options)
    visit.page.set_default_timeout(PATIENCE)
    try:
        yield visit
    finally:
        visit.close()
        served.close()
    assert visit.errors == []


def changed(folder, tmp_path, name, *changes):
    """A copy of an export, in which a script says something else."""
    copy = tmp_path / "page"
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    text = (copy / name).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (copy / name).write_text(text)
    manifest["files"][name]["bytes"] = len(text.encode())
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def drawn(name, edits):
    generator = GENERATORS[name]()
    w = w_of_seed(generator, 7, truncation_psi=0.7)
    image = generator.synthesis(small_axes(generator.num_ws).edit(w, edits))
    return np.asarray(to_uint8(image))[0].astype(int)


def loaded(visit):
    """Names of the files that the page has kept."""
    return visit.page.evaluate(
        """async () => {
          const names = [];
          for (const key of await caches.keys()) {
            for (const { url } of await (await caches.open(key)).keys()) names.push(url);
          }
          return names.join(" ");
        }"""
    )


@pytest.mark.parametrize("name", GENERATORS)
def test_webgpu_draws_the_images_of_the_library(software, folders, name):
    with visited(software, folders / name, "?backend=webgpu") as visit:
        visit.wait_for(7)
        assert visit.page.inner_text("#speed").startswith("Draws with WebGPU (google swiftshader).")
        assert np.abs(visit.pixels() - drawn(name, {})).max() <= 3
        for amount in (-1.5, 2):
            visit.amount("smile", amount)
            visit.wait_for(7, {"smile": amount})
        expected = drawn(name, {"smile": 2.0})
        assert np.abs(visit.pixels() - expected).max() <= 3
        assert np.ptp(expected) > 100


def test_webgpu_draws_in_places_what_webassembly_draws(software, folders, tmp_path):
    copy = tmp_path / "page"
    shutil.copytree(folders / "mobile", copy)
    mixing = mixing_model()
    manifest = json.loads((copy / "manifest.json").read_text())
    name = f"models/{mixing.name}.onnx"
    (copy / name).write_bytes(mixing.serialized)
    manifest["models"][mixing.name] = {"file": name} | mixing.about
    manifest["files"][name] = {
        "bytes": len(mixing.serialized),
        "sha256": hashlib.sha256(mixing.serialized).hexdigest(),
    }
    (copy / "manifest.json").write_text(json.dumps(manifest))
    num_ws = GENERATORS["mobile"]().num_ws
    latents = [normal(num_ws * 8, seed=seed).tolist() for seed in (1, 2, 3)]
    cells = np.random.RandomState(0).rand(2, 2, 4, 4).repeat(32, -1).repeat(32, -2)
    masks = cells.reshape(2, 2, -1).tolist()
    found = {}
    for backend in ("wasm", "webgpu"):
        with visited(software, copy, "?backend=wasm") as visit:
            locations, image = visit.page.evaluate(_IN_PLACES, [backend, latents, masks])
            at = "gpu-buffer" if backend == "webgpu" else "cpu"
            assert locations == [at] * 3 + [None]
            found[backend] = np.asarray(image)
    assert np.ptp(found["wasm"]) > 0.2
    np.testing.assert_allclose(found["webgpu"], found["wasm"], atol=1e-3 * np.ptp(found["wasm"]))


def test_without_a_graphics_processor_webassembly_draws(browser, software, folders):
    for one in (browser, software):  # of software none is taken that was not asked for
        with visited(one, folders / "stylegan2") as visit:
            visit.wait_for(7)
            assert visit.page.inner_text("#speed").startswith("Draws with ")
            assert "WebGPU" not in visit.page.inner_text("#speed")
            assert WITH_WEBGPU not in loaded(visit)
    with visited(browser, folders / "stylegan2", "?backend=webgpu") as visit:
        assert "expected a browser with WebGPU and a graphics processor, found none" in visit.problem()
    with visited(browser, folders / "stylegan2", "?backend=cuda") as visit:
        assert "expected wasm or webgpu, found cuda" in visit.problem()


TAKEN = ("adapter?.info?.isFallbackAdapter || adapter?.isFallbackAdapter ? null : adapter", "adapter")


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("own.milliseconds > other.milliseconds", "own.milliseconds < 0", "Draws with WebGPU"),
        ("own.milliseconds > other.milliseconds", "own.milliseconds > 0", "it is slower here"),
        ("FARTHEST = 2 / 127.5", "FARTHEST = -1", "its images differ by 0.0 of 255"),
        ("let features = null", "throw new WebGPUFailed('no memory')", "WebGPU is not used: no memory."),
        ("PATIENCE = 30000", "PATIENCE = 100", "it was not ready within 0.1 s"),
    ],
)
def test_webgpu_is_checked_before_it_draws(software, folders, tmp_path, old, new, line):
    copy = changed(folders / "stylegan2", tmp_path, "runtime.js", TAKEN)
    copy = changed(copy, tmp_path / "again", "check_webgpu.js", (old, new))
    with visited(software, copy) as visit:
        visit.page.wait_for_function(_LINE, arg=line)
        visit.wait_for(7)
        assert np.abs(visit.pixels() - drawn("stylegan2", {})).max() <= 3
        if "WebGPU" in line[:20]:
            return
        assert visit.page.inner_text("#speed").startswith("Draws with ")
        visit.page.reload()  # in this tab it is not tried again
        visit.wait_for(7)
        assert line in visit.page.inner_text("#speed")


def test_a_graphics_processor_that_is_lost_leaves_webassembly(launch, folders):
    browser = launch(*SOFTWARE)
    with visited(browser, folders / "mobile", "?backend=webgpu") as visit:
        visit.wait_for(7)
        visit.amount("smile", 2)
        visit.wait_for(7, {"smile": 2})
        session = browser.new_browser_cdp_session()
        session.send("Browser.crashGpuProcess")
        visit.page.wait_for_function(_LINE, arg="WebGPU stopped: ")
        assert visit.page.inner_text("#speed").startswith("Draws with ")
        assert visit.page.locator("#slider-smile").input_value() == "2"
        visit.amount("smile", -1)
        visit.wait_for(7, {"smile": -1})
        assert np.abs(visit.pixels() - drawn("mobile", {"smile": -1.0})).max() <= 3


def test_offline_either_backend_draws_with_what_was_kept(software, folders):
    with visited(software, folders / "stylegan2", "?backend=webgpu") as visit:
        visit.wait_for(7)
        assert WITH_WEBGPU in loaded(visit)
        assert "simd-threaded.wasm" not in loaded(visit)
        visit.context.set_offline(True)
        visit.page.reload()
        visit.wait_for(7)
        assert "WebGPU" in visit.page.inner_text("#speed")
        visit.page.goto(visit.page.url.replace("webgpu", "wasm"))
        visit.wait_for(7)
        assert "WebGPU" not in visit.page.inner_text("#speed")
        assert np.abs(visit.pixels() - drawn("stylegan2", {})).max() <= 3
