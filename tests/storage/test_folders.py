"""What becomes of folders when they are replaced, killed while they are written, or damaged."""

import asyncio
import contextlib
import gc
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxedit.errors import CheckpointError, JaxeditError, OutputError
from jaxedit.nn.chunked_loop import CheckpointKeeper, Snapshot
from jaxedit.storage import atomic, leftovers, orbax_arrays
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.cache import cached_checkpoint, checkpoint_folder
from jaxedit.storage.checkpoints import check_checkpoint_target, load_checkpoint, save_checkpoint

ARRAYS = {"a": {"0": np.arange(300, dtype=np.float32)}, "b": np.ones((2, 2), np.int32), "n": np.int32(7)}


def save(folder: Path, kind: str = "pca", k: int = 7, file_format: str = "orbax") -> Path:
    return save_checkpoint(folder, kind=kind, config={"k": k}, arrays=ARRAYS, file_format=file_format)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def own_file(folder: Path) -> None:
    save(folder)
    (folder / "notes.txt").write_text("mine")


def file_of_orbax(folder: Path) -> None:
    save(folder)
    (folder / "arrays" / "d" / "notes.txt").write_text("mine")


def file_of_an_earlier_version(folder: Path) -> None:
    save(folder)
    without(folder, "hashes", "files")
    (folder / "arrays" / "notes.txt").write_text("mine")


def without(folder: Path, *lost: str) -> None:
    path = folder / "metadata.json"
    metadata = {name: value for name, value in json.loads(path.read_text()).items() if name not in lost}
    path.write_text(json.dumps(metadata))


def other_folder(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")


def damaged(folder: Path) -> None:
    save(folder)
    (folder / "metadata.json").write_text("{")


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda folder: save(folder, "axes"), "found one of kind 'axes'"),
        (own_file, r"found 'notes\.txt' in it besides"),
        (file_of_orbax, r"found 'arrays/d/notes\.txt' in it besides"),
        (file_of_an_earlier_version, r"found 'arrays/notes\.txt' in it besides"),
        (other_folder, "found something else"),
        (damaged, "found something else"),
        (lambda path: path.write_text("mine"), "found a file"),
    ],
)
def test_other_things_are_not_replaced(tmp_path, make, found):
    place = tmp_path / "model"
    make(place)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for attempt in (lambda: check_checkpoint_target(place, kind="pca"), lambda: save(place)):
        with pytest.raises(OutputError, match=rf"model: expected .*kind 'pca', {found}.*not replaced"):
            attempt()
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_empty_folders_links_and_files_of_the_system_are_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for k in (1, 2):
        save(tmp_path / "link", k=k)
        (tmp_path / "real" / ".DS_Store").write_text("")
        (tmp_path / "real" / ".x.abcd_123.partial").write_text("")
        assert load_checkpoint(tmp_path / "real", kind="pca")[0] == {"k": k}
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path) == ["link", "real"]


def test_folders_that_cannot_be_written_are_refused_before(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="expected a folder, found something else"):
        check_checkpoint_target(tmp_path / "file" / "deep" / "model", kind="pca")
    check_checkpoint_target(tmp_path / "new" / "model", kind="pca")
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("dies_at", [0, 1, 2, 3])
def test_a_kill_while_a_folder_is_replaced_leaves_the_old_or_the_new_one(
    tmp_path, monkeypatch, can_exchange, dies_at
):
    code = f"""
import os, sys
from pathlib import Path
import numpy as np
from jaxedit.storage import atomic, leftovers, orbax_arrays
from jaxedit.storage.checkpoints import save_checkpoint
calls = 0
def dying(function):
    def call(*arguments):
        global calls
        if calls == {dies_at}:
            os._exit(9)
        calls += 1
        return function(*arguments)
    return call
exchange = atomic._exchange if {can_exchange} else (lambda one, other: False)
atomic._exchange = dying(exchange) if {can_exchange} else exchange
Path.rename = dying(Path.rename)
leftovers.remove_folder = atomic.leftovers.remove_folder = dying(leftovers.remove_folder)
save_checkpoint(sys.argv[1], kind="pca", config={{"k": 2}}, arrays={{"b": np.ones(2)}}, file_format="npz")
"""
    folder = save(tmp_path / "model", k=1, file_format="npz")
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) in ((9, ""), (0, ""))
    new = dies_at >= (1 if can_exchange else 2)
    assert load_checkpoint(folder, kind="pca")[0] == {"k": 2 if new else 1}
    save(folder, k=3, file_format="npz")
    assert load_checkpoint(folder, kind="pca")[0] == {"k": 3}
    assert names(tmp_path) == ["model"]


def test_a_training_is_found_again_after_such_a_kill(tmp_path):
    keeper = CheckpointKeeper(tmp_path / "training", kind="toy", identity={})
    keeper.save(Snapshot(5, [np.ones(2)], {}))
    (tmp_path / "training").rename(tmp_path / ".training.abcd_123.replaced")
    (tmp_path / ".training.abcd_123.partial").mkdir()
    found = keeper.load([np.ones(2)])
    assert found is not None
    assert found.step == 5
    assert names(tmp_path) == ["training"]


def test_leftovers_are_swept_and_files_in_work_are_not(tmp_path):
    path = tmp_path / "x.json"
    for left in (".x.json.abcd_123.partial", ".y.json.abcd_123.partial", ".x.json.notes.partial"):
        (tmp_path / left).write_text("half")
    with leftovers.temporary_file(path) as (_, at_work), leftovers.temporary_folder(path) as folder_at_work:
        write_atomically(path, b"1")
        assert at_work.exists()
        assert folder_at_work.exists()
        leftovers.sweep_within(tmp_path)
        assert at_work.exists()
        assert folder_at_work.exists()
    assert names(tmp_path) == [".x.json.notes.partial", "x.json"]


def test_a_file_is_not_replaced_where_that_is_asked_for(tmp_path, monkeypatch):
    write_atomically(tmp_path / "x", b"1", replace=False)
    write_atomically(tmp_path / "x", b"2", replace=False)
    monkeypatch.delattr(os, "link")
    write_atomically(tmp_path / "x", b"3", replace=False)
    assert (tmp_path / "x").read_bytes() == b"1"
    write_atomically(tmp_path / "y", b"4", replace=False)
    assert (tmp_path / "y").read_bytes() == b"4"
    assert names(tmp_path) == ["x", "y"]


@pytest.mark.parametrize("file_format", ["orbax", "npz"])
def test_no_flipped_bit_loads_as_other_numbers(tmp_path, file_format):
    folder = save(tmp_path / "model", file_format=file_format)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    draw = random.Random(0)
    found = 0
    for number in range(40):
        path = files[number % len(files)]
        whole = path.read_bytes()
        if not whole:
            continue
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        try:
            config, arrays = load_checkpoint(folder, kind="pca")
        except CheckpointError as error:
            assert "model" in str(error)
            found += 1
        else:
            assert config == {"k": 7}
            np.testing.assert_array_equal(arrays["a"]["0"], ARRAYS["a"]["0"])
            np.testing.assert_array_equal(arrays["b"], ARRAYS["b"])
            assert arrays["n"] == 7
        path.write_bytes(whole)
    assert found >= 10


def test_folders_of_earlier_versions_have_no_hashes(tmp_path):
    folder = save(tmp_path / "model")
    without(folder, "hashes", "files")
    assert load_checkpoint(folder, kind="pca")[0] == {"k": 7}
    save(folder, k=8)
    assert load_checkpoint(folder, kind="pca")[0] == {"k": 8}


def test_a_changed_config_or_kind_is_damage(tmp_path):
    folder = save(tmp_path / "model")
    path = folder / "metadata.json"
    for old, new in {'"k": 7': '"k": 9', '"kind": "pca"': '"kind": "pcb"', '"hashes"': '"hashet"'}.items():
        text = path.read_text()
        path.write_text(text.replace(old, new))
        with pytest.raises(CheckpointError, match=r"metadata\.json: damaged"):
            load_checkpoint(folder, kind="pca")
        path.write_text(text)


def test_a_damaged_cache_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXEDIT_HOME", str(tmp_path))
    made = []

    def make():
        made.append(1)
        return {"k": 7}, {"a": np.arange(1000, dtype=np.float32)}

    def load() -> np.ndarray:
        return cached_checkpoint("toy", kind="toy", make=make)[1]["a"]

    load()
    folder = checkpoint_folder("toy")
    for name, place in (("arrays.npz", 2000), ("metadata.json", 90)):
        content = bytearray((folder / name).read_bytes())
        content[place] ^= 4
        (folder / name).write_bytes(content)
        (folder / ".arrays.npz.abcd_123.partial").write_text("left")
        np.testing.assert_array_equal(load(), np.arange(1000))
        assert names(folder) == ["arrays.npz", "metadata.json"]
    assert len(made) == 3
    load()
    assert len(made) == 3


_NO_DEVICE = """
import sys
from jaxedit.errors import CheckpointError, JaxeditError
from jaxedit.storage.checkpoints import load_checkpoint
try:
    load_checkpoint(sys.argv[1], kind="pca")
except JaxeditError as error:
    assert not isinstance(error, CheckpointError)
    print(error)
"""


def test_a_device_that_fails_is_no_damage(tmp_path):
    folder = save(tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-c", _NO_DEVICE, str(folder)],
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "no_such_device"},
    )
    assert done.stdout.startswith("JAX cannot use its devices: "), done.stderr
    assert "JAX_PLATFORMS is 'no_such_device'" in done.stdout


def test_a_failure_without_damage_is_not_called_damage(tmp_path, monkeypatch):
    import orbax.checkpoint as ocp

    def fails(*arguments, **options):
        raise MemoryError("no memory left")

    folder = save(tmp_path / "model")
    monkeypatch.setattr(ocp.Checkpointer, "restore", fails)
    with pytest.raises(
        JaxeditError, match="though their files are whole: MemoryError: no memory left"
    ) as error:
        load_checkpoint(folder, kind="pca")
    assert not isinstance(error.value, CheckpointError)


def test_a_disk_that_fills_while_orbax_writes(tmp_path, monkeypatch):
    # The check before is left out; a limit on the size of files simulates the full disk.
    code = """
import resource, sys
import numpy as np
from jaxedit.errors import OutputError
from jaxedit.storage import orbax_arrays
from jaxedit.storage.checkpoints import save_checkpoint
orbax_arrays.reserve = lambda folder, num_bytes: None
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    save_checkpoint(sys.argv[1], kind="pca", config={},
                    arrays={str(i): np.random.rand(200, 200) for i in range(20)})
except OutputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "m")], capture_output=True, text=True)
    assert "m: could not write the checkpoint: " in done.stdout
    assert "File too large" in done.stdout
    assert (done.stderr, len(done.stdout.splitlines())) == ("", 1)
    assert names(tmp_path) == []


def test_failures_of_a_write_that_nobody_waits_for(tmp_path, monkeypatch, caplog):
    # Orbax waits for one of the files at a time: the errors of others are found when their futures are forgotten.
    def forget(message: str) -> None:
        asyncio.Future(loop=loop).set_exception(ValueError(message))
        gc.collect()

    class Checkpointer(contextlib.nullcontext):
        def __enter__(self):
            return self

        def save(self, folder, arrays):
            forgotten.append(folder)
            raise ValueError(f'Error writing "{folder}/d/0": File too large')

    loop, forgotten = asyncio.new_event_loop(), []
    monkeypatch.setattr(orbax_arrays, "_writer", Checkpointer)
    try:
        with pytest.raises(JaxeditError, match="File too large"):
            save(tmp_path / "m")
        forget(f'Error writing "{forgotten[0]}/d/1": File too large')
        assert caplog.records == []
        forget("another fault")
        assert len(caplog.records) == 1
    finally:
        loop.close()


def test_atomic_exchange_is_what_linux_has(tmp_path):
    if sys.platform != "linux":
        pytest.skip("renameat2 is Linux's")
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("")
    assert atomic._exchange(tmp_path / "a", tmp_path / "b")
    assert names(tmp_path / "a") == ["b"]
