"""Edits of a visitor: history, text, command line, settings file."""

import json
import shlex

import pytest

from jaxedit.errors import InputError
from jaxedit.studio.edits import EditHistory, Settings, as_text, from_text

NAMES, UNITS = ("age", "smile", "brow_height", "yaw"), {"age": "years", "yaw": "degrees"}


def test_steps_are_undone_and_redone():
    history = EditHistory().changed({"age": 5}).changed({"age": 5, "smile": 1})
    assert history.can_undo and not history.can_redo
    back = history.undo()
    assert back.amounts == {"age": 5} and back.can_redo
    assert back.redo().amounts == {"age": 5, "smile": 1}
    assert back.undo().undo().amounts == {}
    other = back.changed({"age": 7})
    assert not other.can_redo and other.undo().amounts == {"age": 5}


def test_the_same_amounts_are_no_step_and_zero_is_no_edit():
    history = EditHistory().changed({"age": 5, "smile": 0})
    assert history.amounts == {"age": 5}
    assert history.changed({"age": 5.0}) is history


def test_the_history_does_not_grow_without_end():
    history = EditHistory()
    for amount in range(1, 500):
        history = history.changed({"age": amount})
    assert len(history.states) == 200 and history.amounts == {"age": 499}


def test_an_amount_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="smile"):
        EditHistory().changed({"smile": float("nan")})


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("age=+12 years smile=+1", {"age": 12, "smile": 1}),
        ("smile=-1.5 yaw=20 degrees brow_height=2", {"smile": -1.5, "yaw": 20, "brow_height": 2}),
        ("age=3years, smile=−1;\nbrow_height = 1e-1", {"age": 3, "smile": -1, "brow_height": 0.1}),
        ("", {}),
        ("smile=0", {}),
    ],
)
def test_texts_are_read(text, amounts):
    assert from_text(text, NAMES, UNITS) == amounts


def test_a_text_comes_back_as_it_was():
    amounts = {"age": 12.5, "smile": -0.25, "yaw": 20.0}
    assert from_text(as_text(amounts, UNITS), NAMES, UNITS) == amounts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("smille=1", "unknown attribute 'smille'"),
        ("smile=1 smile=2", "twice"),
        ("age=3 degrees", "years"),
        ("smile=1 years", "numbers alone"),
        ("smile", "expected ATTRIBUTE=AMOUNT"),
        ("smile=1 !", "expected ATTRIBUTE=AMOUNT"),
        ("smile=1.2.3", "expected a number after smile="),
    ],
)
def test_wrong_texts_are_refused(text, said):
    with pytest.raises(InputError, match=said):
        from_text(text, NAMES, UNITS)


def test_settings_come_back_from_their_file(tmp_path):
    settings = Settings({"age": 0.5, "smile": -1.0}, "mobile-stylegan-ffhq", "my axes", seed=9)
    assert Settings.load(settings.save(tmp_path / "edits.json")) == settings


def test_a_command_line_names_what_is_not_the_default():
    plain = Settings({"age": 0.5}, "mobile-stylegan-ffhq", seed=9)
    assert plain.command() == "jaxedit edit --seed 9 age=+0.5"
    other = Settings({"smile": -1}, "other", "my axes", photo="it's me.jpg")
    assert shlex.split(other.command()) == [
        *(
            "jaxedit",
            "edit",
            "--generator",
            "other",
            "--axes",
            "my axes",
            "--photo",
            "it's me.jpg",
            "smile=-1",
        )
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "labels"},
        {"format": 2},
        {"format": "1"},
        {"amounts": [1]},
        {"amounts": {"age": "much"}},
        {"amounts": {"age": None}},
        {"generator": None},
        {"seed": "nine"},
        {"seed": True},
        {"photo": 3},
        {"truncation_psi": "half"},
    ],
)
def test_settings_of_others_are_refused(tmp_path, change):
    path = tmp_path / "edits.json"
    path.write_text(json.dumps({**json.loads(Settings({"age": 1.0}, "g", seed=1).as_json()), **change}))
    with pytest.raises(InputError, match=r"edits\.json"):
        Settings.load(path)
