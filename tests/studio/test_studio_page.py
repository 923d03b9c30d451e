"""The page itself: named endpoints for programs."""

import io
import json
import urllib.error
import urllib.request
from pathlib import Path

import gradio_client
import numpy as np
import pytest
from PIL import Image

from jaxedit.studio.page.app import Address, serve
from jaxedit.studio.page.edit_tab import OWN_SLOTS
from jaxedit.studio.studio import Studio, StudioConfig


@pytest.fixture(scope="module")
def small_page(small_folders, tmp_path_factory):
    generator, axes = small_folders
    studio = Studio(StudioConfig(str(generator), tmp_path_factory.mktemp("page"), str(axes), pool=60))
    served = serve(studio, Address(), opens_browser=False)
    yield served
    served.close()
    assert not served.uploads.exists() and len(served.desk.visits) == 0


def client_of(served, folder):
    return gradio_client.Client(served.url, verbose=False, download_files=folder)


def test_programs_list_attributes_and_edit_by_number(small_page, tmp_path):
    client = client_of(small_page, tmp_path)
    attributes = {row["name"]: row for row in client.predict(api_name="/attributes")}
    assert list(attributes) == ["age", "smile"]
    assert attributes["age"]["unit"] == "years" and attributes["smile"]["unit"] == "standard deviations"
    plain, edited = (
        np.asarray(Image.open(client.predict(9, text, api_name="/edit_number")))
        for text in ("", "age=+5 years smile=-2")
    )
    assert plain.shape == edited.shape == (32, 32, 3) and (plain != edited).any()


def test_two_visitors_do_not_share(small_page, tmp_path):
    one, other = (client_of(small_page, tmp_path / name) for name in ("one", "other"))
    first = one.predict(9, "smile=2", api_name="/edit_number")
    other.predict(10, "smile=-2", api_name="/edit_number")
    again = one.predict(9, "smile=2", api_name="/edit_number")
    assert Path(first).read_bytes() == Path(again).read_bytes()
    assert len(small_page.desk.visits) >= 2


def ask_for_preview(served, body):
    request = urllib.request.Request(f"{served.url}preview", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def test_small_images_are_for_visits_that_began_with_the_page(small_page):
    visits = small_page.desk.visits
    session = visits.of("a visit of its own")
    values = [0.0] * (2 + OWN_SLOTS)
    values[1] = 1.5

    def body(visit="a visit of its own", values=values):
        return json.dumps({"visit": visit, "values": values}).encode()

    status, image = ask_for_preview(small_page, body())
    expected = io.BytesIO()
    Image.fromarray(session.preview({"smile": 1.5})).save(expected, "JPEG", quality=80)
    assert (status, image) == (200, expected.getvalue())
    before = len(visits)
    assert ask_for_preview(small_page, body("of nobody")) == (404, b"visit: expected that of an open page")
    for wrong in (
        body(values=values[1:]),
        body(values=[float("nan"), *values[1:]]),
        b"[]",
        b"{",
        b"[" * 50_000,
    ):
        status, said = ask_for_preview(small_page, wrong)
        assert (status, said.split(b":")[0]) == (400, b"preview"), wrong[:40]
    assert ask_for_preview(small_page, body("long" * 50_000))[0] == 413
    assert len(visits) == before


@pytest.mark.parametrize(
    ("number", "text", "said"),
    [(-1, "", "face"), (7, "smille=1", "unknown attribute"), (7, "smile=1e9", "standard deviations")],
)
def test_wrong_requests_get_one_sentence(small_page, tmp_path, number, text, said):
    with pytest.raises(gradio_client.exceptions.AppError, match=said):
        client_of(small_page, tmp_path).predict(number, text, api_name="/edit_number")


def test_requests_reach_no_file_of_this_machine_or_of_another_visitor(small_page, tmp_path):
    from jaxedit.studio.downloads import save_face

    session = small_page.desk.visits.of("somebody else")
    other = save_face(session, session.draw())
    (tmp_path / "link.png").symlink_to(other)
    paths = [
        "/etc/passwd",
        "../../../../etc/passwd",
        f"{small_page.uploads}/../../etc/passwd",
        other,
        tmp_path / "link.png",
    ]
    for path in map(str, paths):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{small_page.url}gradio_api/file={path}")
        assert refused.value.code in (403, 404)
        named = {"path": path, "meta": {"_type": "gradio.FileData"}}
        assert "event: error" in answer_of(
            small_page.url, "edit_photograph", [named, "smile=1", 1, True, False]
        )


def answer_of(url, name, values):
    """What a program gets that asks by HTTP alone."""
    call = f"{url}gradio_api/call/{name}"
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(call, json.dumps({"data": values}).encode(), headers)
    try:
        number = json.load(urllib.request.urlopen(request))["event_id"]
        return urllib.request.urlopen(f"{call}/{number}", timeout=60).read().decode()
    except urllib.error.HTTPError as error:
        return f"event: error {error.code}"


def test_a_taken_port_is_named(small_page, small_folders, tmp_path):
    from jaxedit.errors import InputError

    port = int(small_page.url.rstrip("/").rsplit(":", 1)[1])
    with pytest.raises(InputError, match=f"--port.*{port}"):
        serve(small_page.desk.studio, Address(port=port), opens_browser=False)
