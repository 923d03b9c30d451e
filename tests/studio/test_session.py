"""Sessions of visitors over one studio, with a small generator."""

import io
import stat
import subprocess
import sys
import tempfile
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxedit
from jaxedit.axes.curve_learning.refine import RUN_KIND
from jaxedit.errors import InputError
from jaxedit.generators.render import render
from jaxedit.latents.seed_stream import w_of_seed
from jaxedit.storage.runs import RunFolder
from jaxedit.studio.downloads import save_face, save_photograph, save_settings
from jaxedit.studio.drawing import FairLock
from jaxedit.studio.edits import Settings
from jaxedit.studio.faces import face_of_number, find_faces
from jaxedit.studio.many import Jobs
from jaxedit.studio.new_slider import ask_for_refinement
from jaxedit.studio.private import private_folder, sweep_private_folders
from jaxedit.studio.studio import Session, Studio, StudioConfig
from jaxedit.studio.visits import KEPT_SECONDS, MOST_VISITS, Sweeper, Visits


class Sides:
    """Reads both attributes off images: how light they are, and on which side."""

    names, units = ("age", "smile"), ("years", "logit")

    def __call__(self, images):
        light = images.mean((2, 3))
        return jnp.stack([40 + 10 * light.mean(1), light[:, :16].mean(1) - light[:, 16:].mean(1)], axis=1)


@pytest.fixture(scope="module")
def studio(small_folders, tmp_path_factory):
    generator, axes = small_folders
    return Studio(StudioConfig(str(generator), tmp_path_factory.mktemp("kept"), str(axes), pool=120))


@pytest.fixture
def session(studio):
    session = Session(studio)
    yield session
    session.close()


def test_a_preview_and_the_whole_image_are_those_of_the_library(session, studio):
    session.history = session.history.changed({"smile": 2.0, "age": 5.0})
    deviations = session.in_deviations({"smile": 2.0, "age": 5.0})
    w = w_of_seed(studio.generator, 7, truncation_psi=0.7)
    expected = render(studio.generator, studio.axes.edit(w, deviations))
    drawn = session.draw()
    assert np.abs(drawn.edited.astype(int) - expected).max() <= 1
    assert np.abs(drawn.original.astype(int) - render(studio.generator, w)).max() <= 1
    assert np.abs(session.preview({"smile": 2.0, "age": 5.0}).astype(int) - expected).max() <= 1
    assert session.draw() is drawn  # nothing is drawn twice
    session.set_face(face_of_number(studio.generator, 8))
    assert not [
        key for key in studio.drawer._drawn if key[0].seed == 7
    ]  # nor kept longer than it is looked at


def test_of_images_that_wait_a_visitor_gets_the_last(session, studio):
    expected = session.preview({"smile": 1.0})
    got = {}
    other = Session(studio)
    with studio.drawer._lock:
        threads = []
        for key, visitor, amount in ((0, session, 2.0), (1, other, -1.0), (2, session, 1.0)):
            asked = studio.drawer._lock._asked
            work = threading.Thread(
                target=lambda k=key, v=visitor, a=amount: got.update({k: v.preview({"smile": a})})
            )
            work.start()
            threads.append(work)
            while studio.drawer._lock._asked == asked:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    other.close()
    assert got[0] is None and got[1] is not None
    np.testing.assert_array_equal(got[2], expected)


def test_an_amount_beyond_all_sense_is_no_step(session):
    before = session.history
    with pytest.raises(InputError, match="standard deviations"):
        session.take_amounts({"smile": 1e9})
    assert session.history is before


def test_edits_stay_when_the_face_changes(session, studio):
    session.history = session.history.changed({"smile": 2.0})
    before = session.draw().edited
    session.set_face(face_of_number(studio.generator, 8))
    assert session.history.amounts == {"smile": 2.0}
    assert (session.draw().edited != before).any()


@pytest.mark.parametrize("number", [-1, 0.5, 2**32, "nine", None, float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(studio, number):
    with pytest.raises(InputError, match="face"):
        face_of_number(studio.generator, number)


def test_settings_and_face_are_files_of_the_visitor(session, studio):
    session.history = session.history.changed({"age": 5.0})
    settings = Settings.load(save_settings(session))
    assert settings.seed == 7 and settings.generator == studio.config.generator
    assert settings.amounts["age"] == pytest.approx(session.in_deviations({"age": 5.0})["age"], abs=1e-4)
    face = save_face(session, session.draw())
    assert face.is_relative_to(session.folder)
    np.testing.assert_array_equal(np.asarray(Image.open(face)), session.draw().edited)
    with pytest.raises(InputError, match="made by its number"):
        save_photograph(session, session.draw())


def test_the_command_line_takes_the_settings(session, run, tmp_path):
    session.history = session.history.changed({"age": 5.0, "smile": -1.0})
    settings = save_settings(session)
    out = tmp_path / "edited.png"
    code, _, error = run("edit", "--settings", settings, "--out", out)
    assert code == 0, error
    assert np.abs(np.asarray(Image.open(out)).astype(int) - session.draw().edited).max() <= 1
    code, _, error = run("edit", "--settings", settings, "--raw", "--out", out)
    assert code == 2 and "--raw" in error
    code, _, error = run("edit", "--seed", "7")
    assert code == 2 and "--settings" in error


def test_a_visit_has_a_folder_of_its_own_which_goes_with_it(studio):
    one, other = Session(studio), Session(studio)
    assert one.folder != other.folder
    assert stat.S_IMODE(one.folder.stat().st_mode) == 0o700
    one.close()
    assert not one.folder.exists() and other.folder.exists()
    other.close()


def test_visits_do_not_share_and_end_when_they_are_quiet(studio):
    now = [0.0]
    visits = Visits(lambda: Session(studio), clock=lambda: now[0])
    one, other = visits.of("a"), visits.of("b")
    one.history = one.history.changed({"smile": 1.0})
    assert visits.of("a") is one and other.history.amounts == {}
    now[0] = KEPT_SECONDS - 1
    visits.of("b")
    now[0] = KEPT_SECONDS + 1
    visits.of("b")
    assert not one.folder.exists() and visits.of("b") is other
    assert visits.of("a").history.amounts == {}
    with pytest.raises(InputError, match="visit"):
        visits.of(None)
    visits.close_all()
    assert len(visits) == 0 and not other.folder.exists()


def test_a_lock_is_given_in_the_order_of_asking():
    lock, order, threads = FairLock(), [], []

    def take(number):
        with lock:
            order.append(number)

    with lock:
        for number in range(20):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while lock._asked < number + 2:
                time.sleep(0.001)
    for thread in threads:
        thread.join(10)
    assert order == list(range(20))


def test_what_is_over_is_removed_while_nobody_asks():
    called = threading.Event()
    sweeper = Sweeper(called.set, seconds=0.01)
    assert called.wait(10)
    sweeper.stop()


def test_visits_are_limited():
    class Nobody(Session):
        closed = 0

        def __init__(self):
            pass

        def close(self):
            Nobody.closed += 1

    visits = Visits(Nobody)
    for number in range(MOST_VISITS + 20):
        visits.of(str(number))
    assert len(visits) == MOST_VISITS and Nobody.closed == 20


def test_private_files_of_a_killed_server_are_removed_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    old, foreign = tmp_path / f"jaxedit-studio-{int(gone.stdout)}-abc", tmp_path / "jaxedit-studio-notes"
    old.mkdir()
    foreign.mkdir()
    mine = private_folder()
    sweep_private_folders()
    assert mine.exists() and foreign.exists() and not old.exists()


@pytest.mark.parametrize("content", [b"", b"no photograph", b"\x89PNG\r\n\x1a\n" + b"\0" * 100])
def test_uploads_that_are_no_photographs_are_refused(tmp_path, content):
    path = tmp_path / "upload.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"upload\.png"):
        find_faces(path)


def test_a_photograph_without_a_face_is_refused(tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (200, 200), "gray").save(buffer, "PNG")
    (tmp_path / "wall.png").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="face"):
        find_faces(tmp_path / "wall.png")


def test_a_generator_without_axes_is_refused(small_folders, tmp_path):
    with pytest.raises(InputError, match="--axes"):
        Studio(StudioConfig(str(small_folders[0]), tmp_path))


def test_jobs_refuse_what_cannot_be_done(studio, tmp_path):
    jobs = Jobs(studio, tmp_path)
    with pytest.raises(InputError, match="one or more"):
        jobs.add([], {"age": 1.0})
    with pytest.raises(InputError, match="move a slider"):
        jobs.add([tmp_path / "x.jpg"], {})
    for token in ("", "../secret", "x" * 30, "/etc/passwd"):
        assert jobs.state(token) is None


def test_a_job_that_fails_says_why_and_goes_after_an_hour(studio, tmp_path):
    jobs = Jobs(studio, tmp_path / "jobs")
    (tmp_path / "note.jpg").write_text("no photograph")
    token = jobs.add([tmp_path / "note.jpg"], {"age": 1.0})
    jobs.wait()
    state = jobs.state(token)
    assert state.status in ("failed", "done") and "note.jpg" in state.in_words()
    assert str(tmp_path) not in state.in_words()
    again = Jobs(studio, tmp_path / "jobs")  # after a restart
    assert again.state(token) == state
    again._write(token, ended=time.time() - 4000)
    again.sweep()
    assert again.state(token) is None


@pytest.mark.slow
def test_a_thing_is_taught_to_a_new_slider(studio, session, monkeypatch):
    from jaxedit.studio.teaching import Teaching

    pool = studio.pool()
    assert pool.wait_for(120) == 120 and pool.problem is None
    images = np.asarray(jax.vmap(lambda w: studio.generator.synthesis(w[None])[0])(pool.w)).mean((1, 2, 3))
    truth = images > np.median(images)
    teaching = Teaching("bright", pool)
    for _ in range(3):
        rows = teaching.next_page()
        teaching.mark({row: bool(truth[row]) for row in rows})
    assert teaching.learn().auc > 0.8
    axes = studio.add_slider(teaching)
    assert axes.attribute_names[-1] == "bright"
    session.take_new_axes()
    assert session.scale.sliders()[-1].name == "bright"
    brighter = [session.preview({"bright": amount}).mean() for amount in (-2.0, 0.0, 2.0)]
    assert brighter == sorted(brighter)
    assert jaxedit.load_axes(studio.axes_name).attribute_names == axes.attribute_names

    # Refined in the background; what was begun with other axes is begun again.
    with pytest.raises(InputError, match="read off images"):
        studio.add_slider(teaching, refines=True)
    folder = studio.config.folder / "refinements" / "bright"
    ask_for_refinement(studio.config.folder, "bright")
    RunFolder.open(folder, kind=RUN_KIND, request={"of": "other axes"})
    monkeypatch.setattr(studio.drawer, "classifier", Sides())
    studio.refine().join()
    assert studio.refinements == {"bright": "done"} and not folder.exists()
    assert studio.axes.curves is not None
    assert jaxedit.load_axes(studio.axes_name).curves is not None
    brighter = [session.preview({"bright": amount}).mean() for amount in (-2.0, 0.0, 2.0)]
    assert brighter == sorted(brighter)
