"""Names, batches and resumption, with a stand-in for the search, which `tests/cli/test_project_command.py` has."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxedit.errors import CheckpointError, InputError, LeftOutWarning, OutputError
from jaxedit.inversion import project_photos as module
from jaxedit.inversion import projection_folder
from jaxedit.inversion.align import AlignedFace
from jaxedit.inversion.config import ProjectionConfig, TuningConfig
from jaxedit.inversion.photo import list_photos
from jaxedit.inversion.presets import preset, tuning_of
from jaxedit.inversion.project import ProjectionResult
from jaxedit.inversion.project_photos import PhotoProjectionConfig, project_photos
from jaxedit.inversion.projection_problem import TERMS
from tests.inversion.small_generator import small_generator

CONFIG = ProjectionConfig(num_steps=4, num_w_steps=2)


class StandIn:
    """In place of `align` and `project`. The brightness of an image says how many faces it has, and its latent."""

    def __init__(self):
        self.aligned, self.batches, self.diverging, self.killed = [], [], set(), False

    def align(self, photo, size=1024, *, largest_only=False, thorough=False):
        self.aligned.append(photo.path.name)
        pixels = photo.pixels
        count = int(pixels[0, 0, 0]) + thorough
        if not count:
            raise InputError(f"{photo.path}: no face found")
        quad = np.asarray([[0, 0], [0, 64], [64, 64], [64, 0]], np.float64)
        face = (quad, np.zeros((68, 2)), (0.0, 0.0, 64.0, 64.0), 0.9)
        faces = [AlignedFace(pixels[:64, :64] + np.uint8(10 * i), *face) for i in range(count)]
        return faces[: 1 if largest_only else None]

    def project(self, generator, images, config, *, prior, mesh, checkpoint_dir, progress):
        assert mesh is None and prior.encoder is None  # of one device, and from the mean of W
        values = images[:, 0, 0, 0].tolist()
        if checkpoint_dir.exists() and (checkpoint_dir / "state").read_text() != str((values, config)):
            raise CheckpointError("state of another run")
        checkpoint_dir.mkdir(parents=True, exist_ok=True)
        (checkpoint_dir / "state").write_text(str((values, config)))
        if self.killed:
            raise KeyboardInterrupt
        self.batches.append(values)
        w_plus = np.broadcast_to(np.asarray(values, np.float32)[:, None, None] / 100, (len(values), 10, 16))
        return ProjectionResult(
            w_plus=w_plus,
            image=np.asarray(generator.synthesis(jnp.asarray(w_plus))),
            loss_history={name: np.ones((len(values), 4), np.float32) for name in TERMS},
            is_finite=np.asarray([value not in self.diverging for value in values]),
            steps=np.full(len(values), 4),
            noise=None,
            config=config,
        )


def put_in_place(stand_in, monkeypatch):
    monkeypatch.setattr(module, "align", stand_in.align)
    monkeypatch.setattr(module, "project", stand_in.project)
    # Drawing takes most of the time; `test_projection_folder.py` has it.
    monkeypatch.setattr(projection_folder, "draw_losses", lambda curves: b"curves")
    return stand_in


@pytest.fixture
def stand_in(monkeypatch):
    return put_in_place(StandIn(), monkeypatch)


@pytest.fixture(scope="module")
def small():
    return small_generator()


@pytest.fixture
def run(small, tmp_path):
    def run(*photos, **options):
        config = PhotoProjectionConfig(**{"projection": CONFIG} | options)
        return project_photos(photos, tmp_path / "out", small, config, generator_name="cats", progress=False)

    return run


def photo(path, value, side=64, other=0):
    """An image of `value` faces; `other` makes another photograph of it."""
    path.parent.mkdir(exist_ok=True)
    pixels = np.full((side, side, 3), value, np.uint8)
    pixels[-1, -1] = other
    Image.fromarray(pixels).save(path)
    return path


def names(summary):
    return sorted(path.name for path in summary.metrics)


def test_batches_and_a_second_run(run, stand_in, tmp_path):
    photos = [photo(tmp_path / f"{i}.png", 1, other=i) for i in range(3)]
    first = run(*photos, batch_size=2)
    assert names(first) == ["0", "1", "2"]
    assert first.failures == {}
    assert stand_in.batches == [[1, 1], [1]]
    second = run(*photos, batch_size=2)
    assert second == first
    assert (len(stand_in.batches), len(stand_in.aligned)) == (2, 3)


def test_failures_stop_no_other(run, stand_in, tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    photos = [photo(tmp_path / "empty.png", 0), tmp_path / "text.jpg", tmp_path / "nowhere.png", tmp_path]
    summary = run(*photos, photo(tmp_path / "me.png", 1))
    assert names(summary) == ["me"]
    assert "no face found" in summary.failures[photos[0]]
    assert "expected an image" in summary.failures[photos[1]]
    assert "found nothing" in summary.failures[photos[2]]
    assert "found a folder" in summary.failures[photos[3]]
    assert all(str(path) in message for path, message in summary.failures.items())


def test_one_chosen_face(run, stand_in, tmp_path):
    me = photo(tmp_path / "me.png", 3)
    assert names(run(me, face=2)) == ["me_2"]
    assert names(run(me)) == ["me"]
    assert sorted(names(run(me, all_faces=True))) == ["me", "me_2", "me_3"]
    for wrong, message in [
        ({"face": 0}, "1 for the largest"),
        ({"face": 1, "all_faces": True}, "none together"),
        ({"thorough": True, "is_aligned": True}, "thorough: expected no search together with aligned crops"),
    ]:
        with pytest.raises(InputError, match=message):
            run(me, **wrong)


def test_a_thorough_search(run, stand_in, tmp_path):
    me = photo(tmp_path / "me.png", 1)
    assert names(run(me, all_faces=True)) == ["me"]
    for _ in range(2):  # the second time from the folders
        assert names(run(me, all_faces=True, thorough=True)) == ["me", "me_2"]
    assert names(run(me, face=2, thorough=True)) == ["me_2"]
    assert stand_in.aligned == ["me.png"] * 3
    assert names(run(me, all_faces=True)) == ["me"]
    assert stand_in.aligned == ["me.png"] * 4


def test_photographs_of_one_name_have_folders_of_their_own(run, stand_in, tmp_path):
    one, other = photo(tmp_path / "a" / "me.png", 1), photo(tmp_path / "b" / "me.png", 1, other=7)
    assert names(run(other)) == ["me"]
    content = (tmp_path / "out" / "me" / "photo.json").read_bytes()
    assert names(run(one, other)) == ["me", "me_2"]
    assert (tmp_path / "out" / "me" / "photo.json").read_bytes() == content
    assert len(stand_in.batches) == 2  # of the other in the first run
    copy = photo(tmp_path / "c" / "me.png", 1)
    assert names(run(one, copy)) == ["me_2"]  # the same photograph


def test_a_folder_of_another_origin_is_left_alone(run, stand_in, tmp_path):
    (tmp_path / "out" / "me").mkdir(parents=True)
    (tmp_path / "out" / "me" / "diary.txt").write_text("dear diary")
    (tmp_path / "out" / "me_2").write_text("a file")
    assert names(run(photo(tmp_path / "me.png", 1))) == ["me_3"]
    assert (tmp_path / "out" / "me" / "diary.txt").read_text() == "dear diary"


@pytest.mark.parametrize("name", ["...png", " .png", ".png"])
def test_strange_names_stay_inside(run, stand_in, tmp_path, name):
    image = photo(tmp_path / "x.png", 1).rename(tmp_path / name)
    (path,) = run(image).metrics
    assert path.parent == tmp_path / "out"
    assert (path / "latent.npz").is_file()


def test_all_faces(run, stand_in, tmp_path):
    group, me = photo(tmp_path / "group.png", 3), photo(tmp_path / "group_2.png", 1)
    assert names(run(group, me)) == ["group", "group_2"]
    assert stand_in.batches == [[3], [1]]
    summary = run(group, me, all_faces=True)
    assert names(summary) == ["group", "group_2", "group_3", "group_4"]
    assert sorted(stand_in.batches[2:]) == [[13], [23]]
    assert len(stand_in.aligned) == 4
    assert run(group, me, all_faces=True) == summary
    assert len(stand_in.aligned) == 4  # how many faces there are is known by now
    assert names(run(group)) == ["group"]


def test_aligned_ones_are_taken_as_they_are(run, stand_in, tmp_path):
    crop = photo(tmp_path / "crop.png", 5, side=80)
    wide = tmp_path / "wide.png"
    Image.new("RGB", (80, 64)).save(wide)
    summary = run(crop, wide, is_aligned=True)
    assert stand_in.aligned == []
    assert stand_in.batches == [[5]]
    assert "square, found 80 × 64" in summary.failures[wide]
    with Image.open(tmp_path / "out" / "crop" / "aligned.png") as image:
        assert image.size == (80, 80)
    run(crop)  # now it is to be aligned
    assert stand_in.aligned == ["crop.png"]
    assert names(run(crop)) == ["crop"]


def test_crops_of_two_sizes_are_not_of_one_batch(run, stand_in, tmp_path):
    sides = (64, 80, 64)
    photos = [photo(tmp_path / f"{i}.png", i + 1, side=side) for i, side in enumerate(sides)]
    run(*photos, is_aligned=True, batch_size=3)
    assert stand_in.batches == [[1, 3], [2]]


def test_a_killed_run_finds_its_state_and_removes_it(run, stand_in, tmp_path):
    photos = [photo(tmp_path / f"{i}.png", 1, other=i) for i in range(2)]
    stand_in.killed = True
    with pytest.raises(KeyboardInterrupt):
        run(*photos, batch_size=2)
    (state,) = tmp_path.rglob("state")
    stand_in.killed = False
    run(*photos, batch_size=2)
    assert not state.parent.exists()
    assert len(stand_in.aligned) == 2


def test_state_of_other_settings_is_given_up(run, stand_in, tmp_path):
    me = photo(tmp_path / "me.png", 1)
    stand_in.killed = True
    with pytest.raises(KeyboardInterrupt):
        run(me)
    stand_in.killed = False
    other = ProjectionConfig(num_steps=5, num_w_steps=2)
    assert names(run(me, projection=other)) == ["me"]
    assert not list(tmp_path.rglob("state"))


def test_killed_while_the_files_are_written(run, stand_in, tmp_path, monkeypatch):
    photos = [photo(tmp_path / f"{i}.png", 1, other=i) for i in range(2)]
    write = module.PhotoFolder.write_projection

    def killed(folder, settings, result, index):
        if index == 0:
            raise KeyboardInterrupt
        write(folder, settings, result, index)

    with monkeypatch.context() as patch:
        patch.setattr(module.PhotoFolder, "write_projection", killed)
        with pytest.raises(KeyboardInterrupt):
            run(*photos, batch_size=2)
    assert names(run(*photos, batch_size=2)) == ["0", "1"]
    assert stand_in.batches == [[1, 1], [1]]
    assert not list(tmp_path.rglob("state"))


def test_diverged_ones_are_reported_each_time(run, stand_in, tmp_path):
    good, bad = (photo(tmp_path / f"{i}.png", i, side=64) for i in (1, 2))
    stand_in.diverging = {2}
    for _ in range(2):
        summary = run(good, bad)
        assert names(summary) == ["1"]
        assert "diverged in step 4" in summary.failures[tmp_path / "out" / "2"]
    assert len(stand_in.batches) == 2
    assert (tmp_path / "out" / "2" / "latent.npz").is_file()


def test_a_damaged_crop_is_made_anew(run, stand_in, tmp_path):
    me = photo(tmp_path / "me.png", 1)
    run(me)
    (tmp_path / "out" / "me" / "aligned.png").write_bytes(b"damaged")
    assert names(run(me)) == ["me"]
    assert len(stand_in.aligned) == 2


def test_wrong_arguments(run, stand_in, tmp_path):
    me = photo(tmp_path / "me.png", 1)
    with pytest.raises(InputError, match="batch_size: expected 1 or more, got 0"):
        run(me, batch_size=0)
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="expected a folder, found a file"):
        run(me)


def test_photographs_are_listed(tmp_path):
    one, other = photo(tmp_path / "in" / "b.png", 1), photo(tmp_path / "in" / "a.jpg", 1)
    (tmp_path / "in" / "notes.txt").touch()
    with pytest.warns(LeftOutWarning, match=r"in: left out, because they are no images: notes\.txt"):
        assert list_photos([tmp_path / "in"]) == [other, one]
    with pytest.warns(LeftOutWarning):
        assert list_photos([one, tmp_path / "in", tmp_path / "nowhere.png"]) == [
            one,
            other,
            tmp_path / "nowhere.png",
        ]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="none: expected a folder with images, found none"):
        list_photos([tmp_path / "none"])


def test_presets():
    assert preset("fast") == ProjectionConfig.fast()
    assert preset(None).lpips == "alex"  # the tests run on a CPU
    assert preset("official", seed=3) == ProjectionConfig.official(seed=3)
    short = preset("fast", num_steps=25)
    assert (short.num_steps, short.num_w_steps) == (25, 5)
    assert preset("official", num_steps=7).num_w_steps == 7
    assert preset("quality", num_steps=1000) == ProjectionConfig.quality()
    assert tuning_of("fast", is_asked=True, seed=2) == TuningConfig.fast(seed=2)
    assert tuning_of("quality", is_asked=True) == TuningConfig()


def test_fine_tunes_after_a_quick_search():
    assert preset("fine", has_encoder=True, seed=2) == ProjectionConfig.quick(seed=2)
    assert tuning_of("fine", seed=2) == TuningConfig.fine(seed=2)
    assert tuning_of("fine", is_asked=True) == TuningConfig.fine()
    assert tuning_of("fast") is None and tuning_of(None) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "best"},
            "preset: expected one of instant, quick, fine, fast, quality, official, got 'best'",
        ),
        ({"name": "fast", "num_steps": 0}, "num_steps: expected 1 or more, got 0"),
        ({"name": "fast", "num_steps": -5}, "num_steps: expected 1 or more, got -5"),
        ({"name": "fast", "seed": -1}, "seed: expected 0…4294967295, got -1"),
        ({"name": "fast", "seed": 2**32}, "seed: expected"),
    ],
)
def test_presets_that_are_none(arguments, message):
    with pytest.raises(InputError, match=message):
        preset(**arguments)
