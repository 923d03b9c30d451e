"""Photographs from the command line: found in latent space, edited, and again from where a run was killed.

With a small generator of random weights, and with the default one among the longer tests.
"""

import dataclasses
import json
import sys

import numpy as np
import pytest
from PIL import Image
from skimage import data

import jaxedit
from jaxedit import cli
from jaxedit.inversion import cached_projection, project, project_photos, projection_folder
from jaxedit.inversion.config import ProjectionConfig
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.latents.latent_files import load_latent_file
from jaxedit.nn.chunked_loop import CheckpointKeeper
from tests.inversion.small_generator import delta_of, small_generator

# All runs have these settings: each others would be compiled anew, which takes half a minute.
SHORT = ProjectionConfig.fast(num_steps=4, num_w_steps=2, steps_per_chunk=2)
SMALLEST = dataclasses.replace(SHORT, lpips_size=64, face_weight=0.0, identity_weight=0.0, num_w_samples=400)
FACES = ("one/astronaut.png", "other/astronaut.png")


@dataclasses.dataclass
class World:
    """A generator, what the command line is told of it, and the settings of all projections."""

    generator: object
    name: str
    axes: tuple[str, ...]
    config: ProjectionConfig

    @property
    def is_default(self):
        return not self.axes

    @property
    def options(self):
        return ("--generator", self.name)


@pytest.fixture(scope="module", params=["small", pytest.param("default", marks=pytest.mark.slow)])
def world(request, tmp_path_factory):
    if request.param == "default":
        world = World(request.getfixturevalue("generator"), "mobile-stylegan-ffhq", (), SHORT)
    else:
        folder = tmp_path_factory.mktemp("small")
        generator = small_generator()
        jaxedit.save_generator(generator, folder / "generator")
        w = np.random.RandomState(0).randn(600, generator.w_dim).astype(np.float32)
        labels = LabelledLatents(w, w[:, :2], ("age", "smile"), ("years", ""))
        config = jaxedit.AxesConfig(
            num_layers=2, num_steps=5, batch_size=64, learning_rate=1e-6, hidden_width=8
        )
        axes = jaxedit.learn_axes(labels, jaxedit.fit_pca(w, 8), config, progress=False)
        axes.save(folder / "axes")
        world = World(generator, str(folder / "generator"), ("--axes", str(folder / "axes")), SMALLEST)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProjectionConfig, "fast", classmethod(lambda cls, **others: world.config))
        yield world


def command(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["jaxedit", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
    return exit_.value.code


@pytest.fixture
def run(capsys):
    def run(*arguments):
        return (command(*arguments), *capsys.readouterr())

    return run


def refuse(*_, **__):
    raise AssertionError("this has been done before")


@pytest.fixture
def nothing_is_sought(monkeypatch):
    monkeypatch.setattr(project_photos, "project", refuse)
    monkeypatch.setattr(project_photos, "align", refuse)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two photographs of one name, one without a face, and one that is none."""
    root = tmp_path_factory.mktemp("photos")
    for name, pixels in zip(FACES, (data.astronaut(), data.astronaut()[:, ::-1]), strict=True):
        (root / name).parent.mkdir()
        Image.fromarray(pixels).save(root / name)
    Image.fromarray(data.coffee()[:64, :64]).save(root / "coffee.jpg")  # a larger one is searched for longer
    (root / "notes.png").write_text("no image")
    return root


@pytest.fixture(scope="module")
def arguments(world, photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("projected") / "out"
    inputs = [photos / "one", photos / FACES[1], photos / "coffee.jpg", photos / "notes.png"]
    return ["project", *inputs, *world.options, "--out", out]


@pytest.fixture(scope="module")
def projected(arguments):
    """The folder, after a run that was killed in the first photograph and another that went on."""
    out = arguments[-1]
    save, chunks, chunk = CheckpointKeeper.save, [], project.take_steps

    def killed(keeper, snapshot):
        save(keeper, snapshot)
        raise KeyboardInterrupt

    def counted(problem, state, first, length):
        chunks.append(int(first))
        return chunk(problem, state, first, length)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointKeeper, "save", killed)
        assert command(*arguments) == 130
    assert (out / "astronaut" / ".unfinished").is_dir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project, "take_steps", counted)
        assert command(*arguments) == 2
    assert chunks == [2, 0, 2]  # the first photograph went on after its first two steps
    return out


def test_each_face_has_its_folder(world, projected):
    assert sorted(path.name for path in projected.iterdir()) == ["astronaut", "astronaut_2"]
    assert not list(projected.rglob(".unfinished"))
    assert not list(projected.rglob("*.partial"))
    for path in projected.iterdir():
        assert {p.name for p in path.iterdir()} == {
            "aligned.png",
            "comparison.png",
            "latent.npz",
            "loss.png",
            "metrics.json",
            "photo.json",
            "reconstruction.png",
        }
        metrics = json.loads((path / "metrics.json").read_text())
        assert metrics["steps"] == 4
        if world.is_default:
            assert metrics["metrics"]["lpips"] < 0.4  # an other face's is about 0.5
            assert metrics["metrics"]["psnr_256"] > 9
        latent = load_latent_file(path)
        assert latent.w.shape == (1, world.generator.num_ws, world.generator.w_dim)
        assert latent.generator == world.name
        with Image.open(path / "aligned.png") as image:
            assert image.size == (1024, 1024)
    first, second = (
        np.asarray(json.loads((projected / name / "photo.json").read_text())["quad"])
        for name in ("astronaut", "astronaut_2")
    )
    mirrored = (second * [-1, 1] + [512, 0])[[3, 2, 1, 0]]
    np.testing.assert_allclose(mirrored, first, atol=4)


def test_a_killed_run_comes_to_the_same_result(world, projected):
    crop = projection_folder.PhotoFolder(projected / "astronaut").crop()
    result = project.project(world.generator, crop, world.config, progress=False)
    np.testing.assert_array_equal(load_latent_file(projected / "astronaut").w, result.w_plus)


def test_a_second_run_does_nothing_and_says_the_same(world, projected, arguments, run, monkeypatch):
    monkeypatch.setattr(project_photos, "project", refuse)
    code, out, err = run(*arguments)
    assert code == 2
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        str(projected / n) for n in ("astronaut", "astronaut_2")
    ]
    measured = " dB, identity 0." if world.is_default else " dB"
    assert all("LPIPS 0." in line and measured in line for line in lines)
    errors = [line for line in err.splitlines() if line.startswith("jaxedit: error: ")]
    assert len(errors) == 2
    assert "coffee.jpg: no face found" in errors[0]
    assert "notes.png: expected an image" in errors[1]


def test_an_edit_of_what_was_found(world, projected, run, tmp_path):
    found = projected / "astronaut"
    edits = ("age=+1", "smile=-1", "--compare", *world.axes)
    code, out, err = run("edit", "--latent", found, *edits, "--out", tmp_path / "edited.png")
    assert (code, err) == (0, "")
    assert out.startswith("age: ")
    with Image.open(tmp_path / "edited.png") as image, Image.open(found / "reconstruction.png") as shown:
        side = world.generator.resolution
        assert image.size == (2 * side, side)
        np.testing.assert_allclose(np.asarray(image)[:, :side], np.asarray(shown).astype(int), atol=1)
        apart = np.asarray(image)[:, side:].astype(int) - np.asarray(shown)
        assert np.abs(apart).mean() > 2


def test_an_edit_of_a_file_of_numbers(world, projected, run, tmp_path):
    latent = load_latent_file(projected / "astronaut" / "latent.npz")
    np.save(tmp_path / "w.npy", latent.w[0])
    for name, path in (("--w", tmp_path / "w.npy"), ("--latent", projected / "astronaut" / "latent.npz")):
        options = (*world.options, *world.axes, "--out", tmp_path / f"edited{name}.png")
        assert run("edit", name, path, "age=+1", *options)[0] == 0
    images = [(tmp_path / f"edited{name}.png").read_bytes() for name in ("--w", "--latent")]
    assert images[0] == images[1]


def test_a_tuning_is_added_and_used_by_edits(
    world, projected, arguments, run, tmp_path, monkeypatch, nothing_is_sought
):
    monkeypatch.setattr(projection_folder, "tune", lambda generator, *_, **__: delta_of(generator))
    code, out, _ = run("project", arguments[1], *world.options, "--out", projected, "--tune")
    assert code == 0
    assert "; tuned: LPIPS 0." in out
    for option in ([], ["--no-delta"]):
        poster = tmp_path / f"edited{len(option)}.png"
        options = (*option, *world.axes, "-o", poster)
        assert run("edit", "--latent", projected / "astronaut", "age=0", *options)[0] == 0
    tuned, untuned = (np.asarray(Image.open(tmp_path / f"edited{i}.png")).astype(int) for i in (0, 1))
    shown = np.asarray(Image.open(projected / "astronaut" / "reconstruction.png"))
    np.testing.assert_allclose(untuned, shown, atol=1)
    np.testing.assert_allclose(tuned, np.asarray(Image.open(projected / "astronaut" / "tuned.png")), atol=1)
    assert np.abs(tuned - untuned).mean() > 0.5


def test_an_edit_of_a_photograph_and_a_quick_second_one(world, photos, projected, run, tmp_path, monkeypatch):
    monkeypatch.setattr(cached_projection, "cache_dir", lambda: tmp_path / "cache")
    photo, edit, side = photos / FACES[0], ("edit", *world.options, *world.axes), world.generator.resolution
    code, out, err = run(
        *edit, "--photo", photo, "smile=+1", "--crop", "-o", tmp_path / "smile.png", "--compare"
    )
    assert code == 0, err
    assert out.startswith("smile: ")
    with Image.open(tmp_path / "smile.png") as image:
        assert image.size == (3 * side, side)
        pixels = np.asarray(image)
    if world.is_default:  # the crop is as large
        crop = np.asarray(Image.open(projected / "astronaut" / "aligned.png"))
        np.testing.assert_array_equal(pixels[:, :side], crop)
    shown = np.asarray(Image.open(projected / "astronaut" / "reconstruction.png")).astype(int)
    np.testing.assert_allclose(pixels[:, side : 2 * side], shown, atol=1)

    monkeypatch.setattr(project_photos, "project", refuse)
    monkeypatch.setattr(project_photos, "align", refuse)
    copy = tmp_path / "copy.png"
    copy.write_bytes(photo.read_bytes())
    older = ("age=+1", "--out", tmp_path / "older.png")
    code, out, err = run(*edit, "--photo", copy, "--preset", "fast", *older)
    assert (code, err) == (0, "")
    assert " % of the photograph, by " in out
    with Image.open(tmp_path / "older.png") as image, Image.open(photo) as before:
        assert image.size == before.size
        is_same = (np.asarray(image) == np.asarray(before)).all(-1)
    assert 0.5 < is_same.mean() < 0.99
    assert run(*edit, "--photo", copy, "--crop", *older)[0] == 0
    with Image.open(tmp_path / "older.png") as image:
        assert image.size == (side, side)
    assert run(*edit, "--photo", copy, "--compare", *older)[0] == 0
    with Image.open(tmp_path / "older.png") as image:
        both = np.asarray(image)
        np.testing.assert_array_equal(both[:, : both.shape[1] // 2], np.asarray(Image.open(photo)))
    code, _, err = run(*edit, "--photo", copy, "age=+1", "--out", copy)
    assert code == 2 and "expected another file than the photograph itself" in err
    with pytest.raises(AssertionError, match="done before"):  # another photograph is another matter
        command(*edit, "--photo", photos / FACES[1], *older)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["edit", "--photo", "coffee.jpg", "age=1"], "coffee.jpg: no face found"),
        (["edit", "--photo", "nowhere.jpg", "age=1"], "nowhere.jpg: expected an image, found nothing"),
        (["edit", "--photo", "notes.png", "age=1"], "notes.png: expected an image"),
        (["edit", "--photo", "coffee.jpg", "ag=1"], "unknown attribute 'ag'"),
        (["edit", "--photo", "coffee.jpg", "--seed", "7", "age=1"], "got --seed and --photo"),
        (["edit", "--photo", "coffee.jpg", "--num-steps", "0", "age=1"], "num_steps: expected 1 or more"),
        (["edit", "--photo", FACES[0], "--preset", "official", "age=1"], "noise inputs"),
        (["edit", "--latent", "nan.npy", "age=1"], "nan.npy: w: expected finite numbers"),
        (["edit", "--latent", "wide.npy", "age=1"], "wide.npy: expected numbers of shape [512] or [16, 512]"),
        (["edit", "--latent", "one", "age=1"], "latent.npz: expected a latent"),
        (["project", "none", "--out", "out"], "none: expected a folder with images, found none"),
        (["project", "one", "--out", "out", "--batch-size", "0"], "batch_size: expected 1 or more, got 0"),
        (["project", "one", "--out", "out", "--num-steps", "0"], "num_steps: expected 1 or more, got 0"),
        (["project", "one", "--out", "out", "--seed", "-1"], "seed: expected 0…4294967295, got -1"),
        (["project", "one", "--out", "out", "--generator", "cats"], "generator 'cats'"),
    ],
)
def test_wrong_input_is_two_and_one_line(run, photos, tmp_path, monkeypatch, options, message):
    monkeypatch.setattr(cached_projection, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.chdir(photos)
    (photos / "none").mkdir(exist_ok=True)
    np.save("nan.npy", np.full(512, np.nan))
    np.save("wide.npy", np.ones(511))
    code, out, err = run(*options)
    assert code == 2
    assert not out
    *progress, line = err.splitlines()
    assert "Traceback" not in err
    assert not any("error" in other for other in progress)
    assert line.startswith("jaxedit: error: ")
    assert message in line


@pytest.mark.slow
def test_demo_of_a_photograph(run, tmp_path, monkeypatch):
    monkeypatch.setattr(ProjectionConfig, "quick", classmethod(lambda cls, **others: SHORT))
    code, out, err = run("demo-photo", "--out", tmp_path / "demo")
    assert code == 0, err
    poster = tmp_path / "demo" / "photo.png"
    assert out == f"open {poster}\n"
    with Image.open(poster) as image:
        assert image.width > 1500
        assert image.height > 800
    assert (tmp_path / "demo" / "astronaut" / "metrics.json").is_file()
    content = poster.read_bytes()
    monkeypatch.setattr(project_photos, "project", refuse)
    assert run("demo-photo", "--out", tmp_path / "demo")[0] == 0
    assert poster.read_bytes() == content


def test_demo_without_its_package(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    code, _, err = run("demo-photo", "--out", tmp_path / "demo")
    assert code == 2
    assert "scikit-image, which is not installed: pip install 'jaxedit[photo]'" in err


@pytest.mark.parametrize("name", ["project", "demo-photo"])
def test_commands_have_examples(run, name):
    code, out, _ = run(name, "--help")
    assert code == 0
    assert "Examples:\n" in out
    assert f"    jaxedit {name}" in out
