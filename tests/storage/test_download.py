import dataclasses
import hashlib
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from jaxedit.errors import DownloadError, OutputError
from jaxedit.storage import download
from jaxedit.storage.download import FACE_API, RANDOM_FACE, Source, cache_dir, fetch

CONTENT = b"an archive"
SMALL = Source("npm", "small", "1.0.0", "small-1.0.0.tgz", hashlib.sha256(CONTENT).hexdigest(), 0.1)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JAXEDIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a fake npm on the PATH. Call it with the shell lines that it should run."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder) + os.pathsep + os.environ["PATH"])

    def install(script: str) -> Path:
        calls = tmp_path / "calls"
        path = folder / "npm"
        path.write_text(f"#!/bin/sh\necho \"$@\" >> '{calls}'\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return calls

    return install


def left_over(home: Path) -> list[str]:
    return [p.name for p in (home / "sources").iterdir() if not p.name.endswith(".lock")]


def test_cache_dir_is_that_of_the_environment_or_the_platform(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXEDIT_HOME", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.setenv("JAXEDIT_HOME", "")
    assert cache_dir().name == "jaxedit"
    assert cache_dir().is_absolute()


@pytest.mark.parametrize("source", [FACE_API, RANDOM_FACE])
def test_pinned_sources_are_those_of_the_registries(source):
    path = fetch(source)  # into the user's own cache: fetched once on a machine
    assert hashlib.sha256(path.read_bytes()).hexdigest() == source.sha256
    assert path.stat().st_size == pytest.approx(source.megabytes * 1e6, rel=0.01)


def test_files_are_fetched_once_with_a_message(home, npm, capfd):
    calls = npm(f"printf '{CONTENT.decode()}' > small-1.0.0.tgz")
    path = fetch(SMALL)
    assert path.read_bytes() == CONTENT
    assert path.parent.parent == home
    assert "small-1.0.0.tgz" in capfd.readouterr().err
    assert fetch(SMALL) == path
    assert len(calls.read_text().splitlines()) == 1
    assert capfd.readouterr().err == ""
    assert left_over(home) == ["small-1.0.0.tgz"]


def test_damaged_cached_files_are_fetched_again(home, npm):
    npm(f"printf '{CONTENT.decode()}' > small-1.0.0.tgz")
    path = fetch(SMALL)
    path.write_bytes(CONTENT[:3])
    assert fetch(SMALL).read_bytes() == CONTENT


def test_wrong_or_truncated_file_names_both_hashes_and_leaves_nothing(home, npm):
    npm("printf 'an arch' > small-1.0.0.tgz")
    got = hashlib.sha256(b"an arch").hexdigest()
    with pytest.raises(
        DownloadError, match=rf"small-1.0.0.tgz.*expected.*{SMALL.sha256}.*got {got}.*7 bytes"
    ):
        fetch(SMALL)
    assert left_over(home) == []


def test_a_failed_fetch_keeps_the_old_file_and_quotes_the_client(home, npm):
    npm("echo 'npm ERR! network unreachable' >&2; exit 1")
    path = home / "sources" / SMALL.filename
    path.parent.mkdir(parents=True)
    path.write_bytes(b"old")
    with pytest.raises(DownloadError, match=r"npm could not fetch small 1\.0\.0.*network unreachable"):
        fetch(SMALL)
    assert path.read_bytes() == b"old"
    assert left_over(home) == [SMALL.filename]


@pytest.mark.parametrize("words", ["npm error code ENOSPC", "OSError: [Errno 28] No space left on device"])
def test_a_full_disk_is_not_called_a_network(home, npm, words):
    npm(f"echo '{words}' >&2; exit 1")
    with pytest.raises(
        OutputError, match=r"npm could not write \((ENOSPC|No space.*)\): in .*sources"
    ) as error:
        fetch(SMALL)
    assert "network" not in str(error.value)
    assert left_over(home) == []


def test_a_disk_with_too_little_space_is_refused_before(home, npm):
    npm("exit 1")
    with pytest.raises(OutputError, match=r"the disk is full: expected 1000000000\.0 MB free, found"):
        fetch(dataclasses.replace(SMALL, megabytes=1e9))


def test_what_a_killed_fetch_left_is_removed(home, npm):
    npm(f"printf '{CONTENT.decode()}' > small-1.0.0.tgz")
    (home / "sources" / f".{SMALL.filename}.abcd_123.partial").mkdir(parents=True)
    fetch(SMALL)
    assert left_over(home) == [SMALL.filename]


def test_missing_npm_is_named(home, monkeypatch):
    monkeypatch.setattr(download.shutil, "which", lambda name: None)
    with pytest.raises(DownloadError, match="npm is needed"):
        fetch(SMALL)
    assert left_over(home) == []


def test_archive_of_another_name_is_refused(home, npm):
    npm("printf x > other-1.0.0.tgz")
    with pytest.raises(DownloadError, match=r"small-1\.0\.0\.tgz.*got \['other-1\.0\.0\.tgz'\]"):
        fetch(SMALL)


def test_pip_without_an_index_is_a_download_error(home, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DownloadError, match=r"random_face-2021.*pip could not fetch random-face"):
        fetch(RANDOM_FACE)
    assert left_over(home) == []


def test_pip_checks_the_hash_itself(home, monkeypatch, tmp_path):
    wheel = tmp_path / "small-1.0.0-py3-none-any.whl"
    wheel.write_bytes(CONTENT)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    pinned = Source("pypi", "small", "1.0.0", wheel.name, "0" * 64, 0.1)
    with pytest.raises(DownloadError, match=rf"expected SHA-256 {'0' * 64}, got {SMALL.sha256}"):
        fetch(pinned)
    assert left_over(home) == []


def test_cache_that_cannot_be_written_is_an_output_error(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("JAXEDIT_HOME", str(blocked))
    with pytest.raises(OutputError, match="JAXEDIT_HOME"):
        fetch(SMALL)


def test_two_processes_fetch_once(home, npm):
    calls = npm(f"sleep 0.5; printf '{CONTENT.decode()}' > small-1.0.0.tgz")
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(SMALL))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 1
    assert len(paths) == 3
    assert len(calls.read_text().splitlines()) == 1


def test_a_server_that_says_nothing_is_waited_for_with_a_word_and_a_limit(home, npm, monkeypatch, capfd):
    npm("exec sleep 60")
    monkeypatch.setattr(download, "_NOTICE_SECONDS", 0.1)
    monkeypatch.setattr(download, "_LIMIT_SECONDS", 0.3)
    monkeypatch.setattr(download, "_LIMIT_SECONDS_A_MEGABYTE", 0.0)
    with pytest.raises(
        DownloadError, match=r"small-1\.0\.0\.tgz: npm did not finish in 0 s: the server does not"
    ):
        fetch(SMALL)
    assert "jaxedit: still waiting for small-1.0.0.tgz" in capfd.readouterr().err
    assert left_over(home) == []


def test_sources_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SMALL.version = "2"  # type: ignore[misc]


if sys.platform == "win32":
    pytestmark = pytest.mark.skip(reason="the stand-in for npm is a shell script")
