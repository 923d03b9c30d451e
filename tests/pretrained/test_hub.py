"""Folders in the layout of the hub, and a stub of the hub on this machine's loopback."""

import base64
import dataclasses
import hashlib
import importlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from jaxedit.axes import AttributeAxes
from jaxedit.errors import CheckpointError, DownloadError, InputError, OutputError
from jaxedit.generators.conditional import ConditionedGenerator
from jaxedit.pretrained.hub import from_pretrained, push_to_hub
from jaxedit.pretrained.hub_folder import save_pretrained
from jaxedit.pretrained.model_card import CardDetails
from jaxedit.pretrained.registry import load_axes, load_generator
from tests.export.small_models import small_axes, stylegan2, weights_of

DETAILS = CardDetails(
    license_note="For research alone.", labeled="By a network for ages.", generator="mobile-stylegan-ffhq"
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def assert_same_axes(found: AttributeAxes, expected: AttributeAxes) -> None:
    assert (found.attribute_names, found.attribute_units) == (
        expected.attribute_names,
        expected.attribute_units,
    )
    assert found.config == expected.config
    for one, other in zip(weights_of(found), weights_of(expected), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


@pytest.mark.parametrize(("num_ws", "linear"), [(4, True), (None, False)])
def test_axes_come_back_as_they_were(tmp_path, num_ws, linear):
    axes = dataclasses.replace(small_axes(num_ws, linear=linear), generator_fingerprint="ab" * 32)
    folder = save_pretrained(axes, tmp_path / "axes")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "axes.safetensors", "config.json"]
    for load in (from_pretrained, load_axes):
        found = load(folder)
        assert_same_axes(found, axes)
        assert found.generator_fingerprint == axes.generator_fingerprint


def test_a_generator_comes_back_as_it_was(tmp_path):
    generator = stylegan2("resnet", c_dim=2)
    folder = save_pretrained(generator, tmp_path / "generator", DETAILS)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    for load in (from_pretrained, load_generator):
        found = load(folder)
        assert found.config == generator.config
        for one, other in zip(weights_of(found), weights_of(generator), strict=True):
            np.testing.assert_array_equal(one, other)
    card = (folder / "README.md").read_text()
    assert "| architecture | resnet |" in card
    assert "For research alone." in card


def test_the_card_of_axes_says_what_is_known(tmp_path):
    axes = small_axes(4)
    card = (save_pretrained(axes, tmp_path / "axes", DETAILS) / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: jaxedit\nlicense: other\n")
    low, high = np.asarray(axes.quantile_transform.inverse_transform(np.float32([[-2, 0], [2.5, 0]])))[:, 0]
    assert f"| age | years | −2.0 … +2.5 | {low:.3g} … {high:.3g} | 0.900 | 0.020 | 30 |" in card
    assert "| smile | logit | – | – | 0.800 | 0.030 | 40 |" in card
    for text in (
        "For research alone.",
        "By a network for ages.",
        'load_generator("mobile-stylegan-ffhq")',
        "W+",
    ):
        assert text in card
    bare = (save_pretrained(small_axes(None), tmp_path / "bare") / "README.md").read_text()
    assert bare.count("Not stated") == 2


def test_what_is_wrong_with_a_folder_is_said(tmp_path):
    folder = save_pretrained(small_axes(4), tmp_path / "axes")
    with pytest.raises(
        OutputError, match=r"axes: expected a free name or an empty folder, found 'README.md'"
    ):
        save_pretrained(small_axes(4), folder)
    with pytest.raises(InputError, match="expected a generator or axes, got dict"):
        save_pretrained({}, tmp_path / "none")
    with pytest.raises(InputError, match="class is chosen"):
        save_pretrained(ConditionedGenerator(stylegan2(c_dim=2), 0), tmp_path / "none")
    assert [path.name for path in tmp_path.iterdir()] == ["axes"]
    config = json.loads((folder / "config.json").read_text())

    def broken(**changes):
        (folder / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(CheckpointError) as error:
            from_pretrained(folder)
        return str(error.value)

    assert "expected a config of the format jaxedit-axes" in broken(format="other")
    assert "update jaxedit" in broken(format_version=99)
    assert "its hash differs" in broken(config=config["config"] | {"attribute_names": ["a", "b"]})
    (folder / "config.json").write_text(json.dumps(config))
    data = bytearray((folder / "axes.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "axes.safetensors").write_bytes(data)
    with pytest.raises(CheckpointError, match="its hash differs"):
        from_pretrained(folder)
    (folder / "axes.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"expected config.json with model.safetensors or axes.safetensors"
    ):
        from_pretrained(folder)
    with pytest.raises(InputError, match="revision: expected none for a folder"):
        from_pretrained(folder, revision="main")
    with pytest.raises(InputError, match=r"'nowhere': expected a folder, or OWNER/NAME"):
        from_pretrained("nowhere")


def test_a_missing_package_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for call in (lambda: from_pretrained("me/axes"), lambda: push_to_hub(small_axes(4), "me/axes")):
        with pytest.raises(InputError, match=r"huggingface-hub, found none; pip install 'jaxedit\[hub\]'"):
            call()


class StubHub(BaseHTTPRequestHandler):
    """The few answers of a hub that pushing and fetching need; files are kept by repository."""

    repositories: dict
    requests: list

    def log_message(self, *_):
        pass

    def answer(self, content: bytes = b"", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def json(self, value, status: int = 200) -> None:
        self.answer(json.dumps(value).encode(), status, Content_Type="application/json")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        path = unquote(urlsplit(self.path).path)
        self.requests.append(path)
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.repositories.setdefault(name, {})
            self.json({"url": f"{self.root}/{name}", "private": asked.get("private")})
        elif path == "/api/validate-yaml":
            self.json({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = json.loads(body)["files"]
            self.json(
                {
                    "files": [
                        {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
                    ]
                }
            )
        elif "/commit/" in path:
            name = "/".join(path.split("/")[3:5])
            files = self.repositories[name]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.json(
                {"commitUrl": f"{self.root}/{name}/commit/{COMMIT}", "commitOid": COMMIT, "hookOutput": ""}
            )
        else:
            self.json({"error": "unknown"}, 404)

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.requests.append(path)
        if path.startswith("/api/models/"):
            name = "/".join(path.split("/")[3:5])
            if name not in self.repositories:
                self.answer(b'{"error": "no such model"}', 404, X_Error_Code="RepoNotFound")
                return
            files = [{"rfilename": file} for file in self.repositories[name]]
            if "/tree/" in path:
                self.json([{"type": "file", "path": f["rfilename"], "size": 1, "oid": COMMIT} for f in files])
            else:
                self.json(
                    {
                        "id": name,
                        "modelId": name,
                        "sha": COMMIT,
                        "siblings": files,
                        "tags": [],
                        "private": False,
                    }
                )
            return
        owner, name, _, _, file = path.removeprefix("/").split("/", 4)
        content = self.repositories[f"{owner}/{name}"][file]
        tag = hashlib.sha256(content).hexdigest()
        self.answer(content, ETag=f'"{tag}"', X_Repo_Commit=COMMIT, Content_Type="application/octet-stream")

    def do_HEAD(self):
        self.do_GET()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    import huggingface_hub

    stub = type("Stub", (StubHub,), {"repositories": {}, "requests": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), stub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    # The package reads its settings once, when it is imported.
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setenv("HF_TOKEN", "hf_stub")
    api, download = huggingface_hub.HfApi, huggingface_hub.snapshot_download
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: api(endpoint=address, token="hf_stub"))
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda *a, **k: download(*a, endpoint=address, cache_dir=tmp_path / "cache", token="hf_stub", **k),
    )
    yield stub
    server.shutdown()
    thread.join()
    server.server_close()


def test_axes_go_to_the_hub_and_come_back(hub):
    axes = small_axes(4)
    assert push_to_hub(axes, "me/axes", DETAILS).endswith(COMMIT)
    files = hub.repositories["me/axes"]
    assert set(files) == {"README.md", "axes.safetensors", "config.json"}
    assert b"By a network for ages." in files["README.md"]
    files["run_me.py"] = b"raise SystemExit"
    assert_same_axes(from_pretrained("me/axes"), axes)
    assert not any(path.endswith("run_me.py") for path in hub.requests)


def test_what_the_hub_refuses_is_one_clear_error(hub):
    with pytest.raises(DownloadError, match="me/missing: could not be fetched from the hub"):
        from_pretrained("me/missing")
    hub.repositories["me/bad"] = {"config.json": b"{}", "README.md": b""}
    with pytest.raises(CheckpointError, match=r"me/bad: expected config\.json with"):
        from_pretrained("me/bad")
    with pytest.raises(InputError, match="name: expected OWNER/NAME"):
        push_to_hub(small_axes(4), "no owner")
    hub.do_POST = lambda self: self.json({"error": "not yours"}, 403)
    with pytest.raises(OutputError, match="me/axes: could not put it onto the hub"):
        push_to_hub(small_axes(4), "me/axes")
