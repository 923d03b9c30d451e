"""The server of an exported page: its files and no others, with the headers of isolation; what is refused."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from jaxedit.errors import InputError, OutputError
from jaxedit.export.web.serve import check_page, serve_page

CONTENT = {"index.html": b"<p>page", "models/one.onnx": b"model", "main.mjs": b"1", "service_worker.js": b"2"}


def manifest(**changes):
    files = {
        name: {"bytes": len(content)} for name, content in CONTENT.items() if name != "service_worker.js"
    }
    return {"format": "jaxedit-web", "format_version": 1, "files": files} | changes


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "page"
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(manifest()))
    (folder / "private.txt").write_text("mine")
    (tmp_path / "outside.txt").write_text("mine")
    return folder


@pytest.fixture
def served(folder):
    served = serve_page(folder)
    yield served
    served.close()


def get(served, path, **headers):
    connection = http.client.HTTPConnection(*served.server.server_address[:2])
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def test_files_come_with_the_headers_of_isolation(served):
    kinds = {
        "/": "text/html; charset=utf-8",
        "/?x=1": "text/html; charset=utf-8",
        "/main.mjs": "text/javascript; charset=utf-8",
        "/models/one.onnx": "application/octet-stream",
        "/manifest.json": "application/json",
        "/service_worker.js": "text/javascript; charset=utf-8",
    }
    for path, kind in kinds.items():
        status, headers, content = get(served, path)
        assert (status, headers["Content-Type"]) == (200, kind), path
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert content == CONTENT.get(path.split("?")[0].lstrip("/") or "index.html", content)


@pytest.mark.parametrize(
    "path",
    ["/private.txt", "/../outside.txt", "/%2e%2e/outside.txt", "/models/", "/models", "//index.html/.."],
)
def test_nothing_else_is_served(served, path):
    assert get(served, path)[0] == 404


def test_a_folder_that_was_replaced_by_an_older_one_is_sent_again(served):
    status, _, content = get(served, "/", **{"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"})
    assert (status, content) == (200, CONTENT["index.html"])


def test_this_machine_alone_is_served_by_default(served):
    assert served.server.server_address[0] == "127.0.0.1"
    assert served.url.startswith("http://127.0.0.1:78")


def test_a_port_that_is_taken_is_named(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            OutputError, match=rf"127\.0\.0\.1:{port}: could not serve there: .*--port takes another"
        ):
            serve_page(folder, port=port)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "found no manifest.json in it"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "damaged; export it again"),
        (
            lambda folder: (folder / "manifest.json").write_text("[]"),
            "found a manifest.json of something else",
        ),
        (
            lambda folder: (folder / "manifest.json").write_text(json.dumps(manifest(format_version=9))),
            "in version 1, found version 9; export it again",
        ),
        (
            lambda folder: (folder / "models" / "one.onnx").write_bytes(b"mod"),
            "expected the file models/one.onnx of 5 bytes, found 3 bytes; export it again",
        ),
        (lambda folder: (folder / "main.mjs").unlink(), "expected the file main.mjs of 1 bytes, found none"),
    ],
)
def test_a_folder_that_is_no_page_is_refused_in_one_sentence(folder, run, change, message):
    change(folder)
    with pytest.raises(InputError):
        check_page(folder)
    code, out, err = run("web", folder, "--no-browser")
    assert (code, out) == (2, "")
    assert err.startswith(f"jaxedit: error: {folder}: expected ") and message in err and err.count("\n") == 1


def test_the_command_serves_until_it_is_ended(folder):
    script = "import sys; from jaxedit.cli import main; sys.argv[0] = 'jaxedit'; main()"
    command = [sys.executable, "-c", script, "web", str(folder), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        assert urllib.request.urlopen(url).read() == CONTENT["index.html"]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url)
