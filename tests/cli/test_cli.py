import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxedit import cli
from jaxedit.attributes.faces import face_attributes
from jaxedit.cli import parse_edits
from jaxedit.pretrained.registry import save_generator
from tests.inversion.small_generator import small_generator

COMMANDS = [
    "edit",
    "studio",
    "align",
    "project",
    "read",
    "label",
    "learn",
    "teach",
    "refine",
    "ranges",
    "train-encoder",
    "evaluate",
    "fetch",
    "convert",
    "export",
    "web",
    "info",
    "demo",
    "demo-photo",
    "annotate",
    "blind",
]


@pytest.fixture(scope="module")
def axes_folder(tmp_path_factory):
    """Axes of three attributes, learned through the command line from the labels that come along."""
    folder = tmp_path_factory.mktemp("learned") / "axes"
    command = ["learn", "--attributes", "age,smile,yaw", "--num-steps", "10", "--num-components", "40"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["jaxedit", *command, "--out", str(folder)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
    assert exit_.value.code == 0
    return folder


def _is_one_line(text):
    return text.startswith("jaxedit: error: ") and text.count("\n") == 1


_HELP_OF_ALL = """
import sys
from jaxedit.cli import main
for command in ([], *([name] for name in sys.argv[1:])):
    sys.argv = ["jaxedit", *command, "--help"]
    try:
        main()
    except SystemExit as exit_:
        assert exit_.code == 0, command
slow = {"jax", "flax", "optax", "orbax", "matplotlib", "numpy", "PIL", "gradio", "pandas"} & sys.modules.keys()
assert not slow, slow
"""


def test_help_imports_nothing_slow():
    done = subprocess.run(
        [sys.executable, "-c", _HELP_OF_ALL, *COMMANDS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "jaxedit edit --seed 7 age=+1.5 smile=+1" in done.stdout


def test_no_command_is_wrong_usage(run):
    code, out, err = run()
    assert code == 2
    assert "Start here:" in out + err


def test_the_help_lists_every_command_in_a_whole_line(run):
    _, out, _ = run("--help")
    lines = out.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in lines] == COMMANDS
    assert not any(line.endswith("...") for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Examples:\n" in out
    assert f"    jaxedit {command}" in out


def test_version(run):
    assert run("--version") == (0, "jaxedit 0.1.0\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["paint"],
        ["edit", "--seed", "x", "age=1"],
        ["edit", "--color", "age=1"],
        ["label"],
        ["demo", "--faces", "many"],
    ],
)
def test_wrong_usage_is_two(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2
    assert "Error: " in err
    assert not out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["edit"], "edits: expected one or more such as age=+1.5, or --settings FILE, got none"),
        (["edit", "--seed", "7", "age"], "ATTRIBUTE=AMOUNT such as age=+1.5, got 'age'"),
        (["edit", "--seed", "7", "age=old"], "got 'age=old'"),
        (["edit", "--seed", "7", "age=1", "age=2"], "'age' twice"),
        (["edit", "age=1"], "one of --seed, --nvidia-seed, --latent and --photo, got none"),
        (["edit", "--seed", "7", "--w", "w.npy", "age=1"], "got --seed and --latent"),
        (["edit", "--seed", "-1", "age=1"], "seed: expected 0…4294967295, got -1"),
        (["edit", "--seed", "7", "age=1", "--out", "a.xyz"], "ends in .png"),
        (["edit", "--seed", "7", "age=1", "--axes", "nowhere"], "nowhere"),
        (
            ["edit", "--w", "nowhere.npy", "age=1"],
            "nowhere.npy: expected a latent (a .npy, .npz, .pt or .pkl, or a folder of `jaxedit project`), found",
        ),
        (["edit", "--seed", "7", "age=1e30"], "'age': expected −100…100 in standard deviations, got 1e+30"),
        (["edit", "--seed", "7", "age=1e9", "--raw"], "'age': expected −7"),
        (
            ["edit", "--seed", "7", "age=1", "--truncation-psi", "nan"],
            "truncation_psi: expected a number in -2…2",
        ),
        (
            ["edit", "--seed", "7", "age=1", "--truncation-psi", "-100"],
            "truncation_psi: expected a number in -2…2",
        ),
        (
            ["edit", "--seed", "7", "age=1", "--preset", "fast"],
            "--preset: expected with --photo only, got it with --seed",
        ),
        (["edit", "--seed", "7", "age=1", "--index", "1"], "--index: expected with --latent only"),
        (["edit", "--seed", "7", "age=1", "--crop"], "--crop: expected with --photo only"),
        (
            ["edit", "--w", "w.npy", "age=1", "--truncation-psi", "1"],
            "--truncation-psi: expected with --seed or",
        ),
        (["edit", "--nvidia-seed", "-1", "age=1"], "seed: expected 0…4294967295, got -1"),
        (["edit", "--w", "", "age=1"], "--w: expected a value, got an empty text"),
        (["edit", "--seed", "7", "age=1", "--out="], "--out: expected a value, got an empty text"),
        (["edit", "--seed", "7", "age=1", "-g", "nowhere"], "generator 'nowhere'"),
        (
            ["evaluate", "--pilot", "8", "--faces", "4"],
            "pilot: expected at most the number of faces, 4, got 8",
        ),
        (["evaluate", "--pilot", "0"], "pilot: expected 2 or more, got 0"),
        (["evaluate", "--truncation-psi", "inf"], "truncation_psi: expected a number in -2…2"),
        (["evaluate", "--directions", "nowhere.npy"], "nowhere.npy: expected directions"),
        (
            ["project", "nowhere.jpg", "--out", "p", "--preset", "official"],
            "optimize_noise (preset official)",
        ),
        (["info", "nowhere"], "nowhere"),
        (["fetch", "cats"], "mobile-stylegan-ffhq, face-api"),
        (["learn", "--attributes", "age,hue"], "got 'age,hue'"),
        (["learn", "--labels", "nowhere"], "nowhere"),
        (["learn", "--num-steps", "0"], "num_steps: expected a positive int, got 0"),
        (["learn", "--num-components", "0"], "num_components: expected an int in 1…512"),
        (["demo", "--faces", "0"], "faces: expected 1…1000, got 0"),
        (["demo", "--seed", "-1"], "seed: expected 0…4294967295, got -1"),
    ],
)
def test_wrong_input_is_two_and_one_line(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert code == 2, err
    assert _is_one_line(err)
    assert message in err
    assert not out


def test_interruption_is_130_and_one_line(run, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxedit.pretrained.inspection.describe_installation", interrupted)
    code, _, err = run("info")
    assert code == 130
    assert err.strip() == "jaxedit: interrupted"


def test_info_of_the_installation(run):
    code, out, _ = run("info")
    assert code == 0
    for part in ("jaxedit", "jax ", "devices", "mobile-stylegan-ffhq", "cache"):
        assert part in out


def test_learnt_axes_are_described(run, axes_folder):
    code, out, _ = run("info", axes_folder)
    assert code == 0
    assert "40 axes, of which 3 are attributes" in out
    assert out.index("age") < out.index("smile") < out.index("yaw")
    assert "axis label correlation" in out


def test_edit_writes_the_image_and_says_what_changed(run, axes_folder, tmp_path):
    edited = tmp_path / "below" / "edited.png"
    edits = ("age=+1.5", "smile=-0.5")
    code, out, err = run("edit", "--seed", 7, *edits, "--axes", axes_folder, "--out", edited)
    assert (code, err) == (0, "")
    age, smile, path = out.splitlines()
    before, after = (float(text.split()[0]) for text in age.removeprefix("age: ").split(" → "))
    assert age.endswith("years")
    assert after > before + 5
    assert smile.startswith("smile: ")
    assert path == str(edited)
    with Image.open(edited) as image:
        assert image.size == (1024, 1024)
        single = np.asarray(image)

    both = tmp_path / "both.png"
    assert run("edit", "-s", 7, *edits, "--axes", axes_folder, "--compare", "-o", both)[0] == 0
    with Image.open(both) as image:
        assert image.size == (2048, 1024)
        np.testing.assert_array_equal(np.asarray(image)[:, 1024:], single)
        assert np.abs(np.asarray(image)[:, :1024].astype(int) - single).mean() > 2


def before_and_after(path):
    with Image.open(path) as image:
        before, after = np.split(np.asarray(image).astype(int), 2, axis=1)
    return before, after, np.abs(after - before)


def test_edit_changes_the_place_of_the_attribute_alone(run, axes_folder, tmp_path):
    both = tmp_path / "both.png"
    options = ("--axes", axes_folder, "--compare", "-o", both)
    assert run("edit", "-s", 5, "smile=-1.5", *options)[0] == 0
    before, after, change = before_and_after(both)
    np.testing.assert_array_equal(after[:300], before[:300])  # forehead, hair, and what is beside
    np.testing.assert_array_equal(after[:, :60], before[:, :60])
    assert change[600:800, 400:600].mean() > 2
    assert run("edit", "-s", 5, "smile=-1.5", *options, "--where", "everywhere")[0] == 0
    assert before_and_after(both)[2][:300].mean() > 2


def test_edit_keeps_the_background_where_that_is_asked_for(run, axes_folder, tmp_path):
    both = tmp_path / "both.png"
    options = ("--axes", axes_folder, "--compare", "-o", both)
    assert run("edit", "-s", 5, "age=+1.5", *options, "--where", "person")[0] == 0
    before, after, change = before_and_after(both)
    np.testing.assert_array_equal(after[:200, :20], before[:200, :20])
    assert change[400:600, 400:600].mean() > 2


_EDIT = """
import sys
from jaxedit.cli import main
sys.argv = ["jaxedit", "edit", "--seed", "7", "age=+1", "--out", sys.argv[1]]
try:
    main()
except SystemExit as exit_:
    assert exit_.code == 0
slow = {"orbax", "matplotlib", "jaxedit.inversion", "jaxedit.evaluation"} & sys.modules.keys()
assert not slow, slow
"""


@pytest.mark.slow
def test_an_edit_with_the_shipped_axes_imports_nothing_that_it_does_not_need(tmp_path):
    command = [sys.executable, "-c", _EDIT, str(tmp_path / "edited.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, after = (float(text.split()[0]) for text in done.stdout.splitlines()[0][5:].split(" → "))
    assert before == pytest.approx(32.2, abs=0.2)
    assert after == pytest.approx(52.7, abs=0.2)


def test_edit_to_a_value_of_a_given_latent(run, axes_folder, tmp_path, generator):
    latent = tmp_path / "w.npy"
    np.save(latent, np.asarray(generator.mapping(jnp.ones((1, 512)))))
    options = ("--absolute", "--raw", "--axes", axes_folder, "--out", tmp_path / "edited.jpg")
    code, out, _ = run("edit", "--w", latent, "age=60", *options)
    assert code == 0
    after = float(out.splitlines()[0].split(" → ")[1].split()[0])
    assert after == pytest.approx(
        60, abs=8
    )  # as the axes read it back: the decoder is not their exact inverse


def test_unknown_attribute_names_the_known_ones(run, axes_folder, tmp_path):
    code, _, err = run("edit", "--seed", 7, "ag=1", "--axes", axes_folder, "--out", tmp_path / "x.png")
    assert code == 2
    assert _is_one_line(err)
    assert "'ag'; known: age, smile, yaw" in err
    assert not (tmp_path / "x.png").exists()


def test_unwritable_output_is_one(run, axes_folder, tmp_path):
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "edited.png"
    code, _, err = run("edit", "--seed", 7, "age=1", "--axes", axes_folder, "--out", target)
    assert code == 1
    assert _is_one_line(err)
    assert str(target) in err


def test_a_file_in_place_of_the_demo_folder_is_one(run, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = run("demo", "--out", tmp_path / "file")
    assert code == 1
    assert _is_one_line(err)


class MeanAndSpread:
    """A classifier that needs no networks."""

    names = ("mean", "spread")
    units = ("", "")

    def __call__(self, images):
        return jnp.stack([images.mean((1, 2, 3)), images.std((1, 2, 3))], 1)


def test_label_then_info_then_learn_from_too_few(run, tmp_path, monkeypatch):
    monkeypatch.setattr(face_attributes, "FaceAttributes", MeanAndSpread)
    folder = tmp_path / "labels"
    save_generator(small_generator(), tmp_path / "small")
    options = ("--generator", tmp_path / "small", "--batch-size", 2, "--shard-size", 2)
    code, out, err = run("label", "--out", folder, "-n", 3, *options, "--seed", 5)
    assert code == 0, err
    assert "3 images × 2 attributes" in out
    code, out, _ = run("info", folder)
    assert code == 0
    assert f"3 faces of {tmp_path / 'small'}, seed 5" in out
    assert "spread" in out

    code, _, err = run("label", "--out", folder, "-n", 3, *options, "--seed", 6)
    assert code == 2
    assert "another seed" in err
    code, _, err = run("label", "--out", folder, "-n", 3, *options[:4], "--shard-size", 3)
    assert code == 2
    assert "multiple" in err
    code, _, err = run("learn", "--labels", folder, "--num-components", 2, "--out", tmp_path / "axes")
    assert code == 2
    assert _is_one_line(err)
    assert not (tmp_path / "axes").exists()


def test_a_damaged_checkpoint_is_two(run, tmp_path):
    (tmp_path / "metadata.json").write_text("{")
    code, _, err = run("info", tmp_path)
    assert code == 2
    assert "damaged" in err


def test_amounts_are_read():
    assert parse_edits(["age=+1.5", "smile=-1", "yaw=2e-1", "mouth_width=−3"]) == {
        "age": 1.5,
        "smile": -1.0,
        "yaw": 0.2,
        "mouth_width": -3.0,
    }


def test_the_command_is_a_module_too():
    said = subprocess.run(
        [sys.executable, "-m", "jaxedit", "info", "--nonsense"], capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert said.stderr.startswith("Usage: jaxedit info")
