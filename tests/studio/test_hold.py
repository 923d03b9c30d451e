"""What the studio refuses: visitors without the password, uploads that are traps, axes of another generator."""

import dataclasses
import json
import struct
import urllib.error
import urllib.request
import zlib

import jax
import numpy as np
import pytest

import jaxedit
from jaxedit.errors import InputError
from jaxedit.generators.protocol import weights_fingerprint
from jaxedit.generators.stylegan2 import StyleGAN2
from jaxedit.generators.stylegan2.initial import initial_params
from jaxedit.studio import faces
from jaxedit.studio.faces import find_faces
from jaxedit.studio.new_slider import AXES_FOLDER
from jaxedit.studio.page.app import Address, serve
from jaxedit.studio.page.edit_tab import OWN_SLOTS
from jaxedit.studio.studio import Session, Studio, StudioConfig


def test_nobody_enters_without_the_password(small_folders, tmp_path):
    generator, axes = small_folders
    studio = Studio(StudioConfig(str(generator), tmp_path, str(axes), pool=60))
    served = serve(studio, Address(password="correct horse"), opens_browser=False)
    try:
        for path in ("config", "gradio_api/info", "gradio_api/call/attributes", "gradio_api/queue/data"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                body = b'{"data": []}' if "call" in path else None
                urllib.request.urlopen(
                    urllib.request.Request(f"{served.url}{path}", body, {"Content-Type": "application/json"}),
                    timeout=20,
                )
            assert refused.value.code in (401, 403, 405, 422), path
        wanted = {"visit": "of nobody", "values": [0.0] * (2 + OWN_SLOTS)}
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{served.url}preview", json.dumps(wanted).encode(), timeout=20)
        assert refused.value.code == 404 and len(served.desk.visits) == 0
        wrong = urllib.request.Request(f"{served.url}login", b"username=studio&password=wrong")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(wrong, timeout=20)
        assert refused.value.code == 400
        right = urllib.request.Request(f"{served.url}login", b"username=studio&password=correct+horse")
        with urllib.request.urlopen(right, timeout=20) as answer:
            cookies = [value.split(";")[0] for value in answer.headers.get_all("Set-Cookie")]
        page = urllib.request.Request(f"{served.url}config", headers={"Cookie": "; ".join(cookies)})
        assert urllib.request.urlopen(page, timeout=20).status == 200
    finally:
        served.close()


def test_an_open_page_without_a_password_is_named(run, small_folders, tmp_path):
    generator, _ = small_folders
    code, _, error = run("studio", "--host", "0.0.0.0", "--axes", tmp_path / "none", "-g", generator)
    assert code == 2 and "open to other machines without a password" in error
    assert "none" in error.splitlines()[-1] and "Traceback" not in error
    (tmp_path / "empty.txt").write_text("\n")
    code, _, error = run("studio", "--password-file", tmp_path / "empty.txt", "-g", generator)
    assert code == 2 and "empty.txt" in error


def test_axes_of_another_generator_are_refused(small_generator, small_axes, tmp_path):
    known = dataclasses.replace(small_axes, generator_fingerprint=weights_fingerprint(small_generator))
    known.save(tmp_path / "axes")
    config = small_generator.config
    other = StyleGAN2(config, initial_params(config, jax.random.key(1)))
    jaxedit.save_generator(other, tmp_path / "other")
    with pytest.raises(jaxedit.JaxeditError, match="generator"):
        Studio(StudioConfig(str(tmp_path / "other"), tmp_path, str(tmp_path / "axes")))


def test_a_studio_starts_again_with_the_axes_that_were_taught(small_folders, small_axes, tmp_path):
    small_axes.save(tmp_path / AXES_FOLDER)
    studio = Studio(StudioConfig(str(small_folders[0]), tmp_path))
    assert studio.axes.attribute_names == small_axes.attribute_names
    session = Session(studio)
    assert session.settings().axes == str(tmp_path / AXES_FOLDER)
    session.close()


def png_of(width, height):
    """A file of a few kilobytes that says it is as large as that."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_small_file_of_a_huge_photograph_is_refused(tmp_path):
    path = tmp_path / "trap.png"
    path.write_bytes(png_of(60_000, 60_000))
    with pytest.raises(InputError, match=r"^trap\.png: .*60000"):
        find_faces(path)


def test_a_large_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(faces, "MAX_UPLOAD_BYTES", 1000)
    path = tmp_path / "large.png"
    path.write_bytes(np.random.default_rng(0).bytes(1001))
    with pytest.raises(InputError, match=r"^large\.png: expected at most"):
        find_faces(path)
