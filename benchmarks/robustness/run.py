"""Kills, small disks, damaged and hostile files and wrong command lines, counted.

    python -m benchmarks.robustness.run --small
    python -m benchmarks.robustness.run --seed 1 --json benchmarks/results/robustness.json

A case passes if it ends in an error of this library in one line, or in the right content; if the old or the new content
is under the name after a kill; and if nothing is left over after the next write. The exit code is 1 if a case fails.
Runs on Linux; as root it also fills small disks of its own.
"""

import argparse
import collections
import contextlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.robustness.readers import ARRAYS, READERS, Reader
from jaxedit.errors import JaxeditError
from jaxedit.storage import leftovers
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint
from tests.storage.test_hostile_arrays import HOSTILE

Counts = dict[str, dict[str, int]]
SECONDS = 20
CASES = {"npz": (200, 200), "orbax": (140, 80)}
"""Kills of each kind, and small disks, by the format of the arrays."""

LONGEST_WRITE = {"npz": 0.05, "orbax": 0.5}
"""Seconds within which a writer is killed; about the time that it takes."""

CUT, FLIP, ZEROS, GARBAGE = "cut short", "flipped bit", "zeros", "garbage"
COMMANDS = (
    "label --out {new} -s -1",
    "label --out {new} -n 0",
    "label --out {other}",
    "label --out {new} --batch-size 3 --shard-size 4",
    "learn --out {generator}",
    "learn --out {new} --labels {pipe}",
    "learn --out {new} --labels {absent}",
    "refine --out {generator}",
    "refine --out {new} --config {pipe}",
    "convert {absent} --out {new}",
    "convert {pipe} --out {new}",
    "convert {absent} --out {generator}/notes.txt",
    "export {absent} --out {new}",
    "export {generator} --out {other}",
    "evaluate --out {other}",
    "evaluate --out {new} --faces 1",
    "edit --seed 1 --latent {pipe} age=1",
    "edit --latent {pipe} age=1",
    "edit --latent {other} age=1",
    "edit --seed 1 age",
    "edit --seed 1 age=1 --axes {generator}",
    "info {other}",
    "info {absent}",
)


def damaged(reader: Reader, count: int, draw: random.Random, place: Path) -> collections.Counter:
    """Reads damaged copies."""
    whole, counts = place / "whole", collections.Counter[str]()
    reader.make(whole)
    expected = _plain(reader.read(whole))
    for _ in range(count):
        copy = place / "copy"
        shutil.copytree(whole, copy) if whole.is_dir() else shutil.copy(whole, copy)
        files = [copy] if copy.is_file() else [p for p in sorted(copy.rglob("*")) if p.is_file()]
        how = _damage(draw.choice([path for path in files if path.stat().st_size]), draw)
        outcome = _outcome(lambda copy=copy: reader.read(copy), expected, how)
        if not reader.has_checksum and "other content" in outcome:
            outcome = "other content, which the format cannot tell"
        counts[outcome] += 1
        shutil.rmtree(copy) if copy.is_dir() else copy.unlink()
    return counts


def hostile(place: Path) -> collections.Counter:
    """Reads hostile array files by each reader that takes them."""
    counts = collections.Counter[str]()
    for make, _ in HOSTILE.values():
        make(place / "x.npz")
        for reader in READERS:
            if reader.name not in ("checkpoint, Orbax", "checkpoint, .npz", "export", "run folder"):
                counts[_outcome(lambda read=reader.read: read(place / "x.npz"), None, "hostile")] += 1
    return counts


def kills(
    count: int, file_format: Any, draw: random.Random, place: Path, *, at_renames: bool
) -> collections.Counter:
    """Kills writers at random moments, or before each call that changes a name."""
    counts, folder = collections.Counter[str](), place / "model"

    def save(k: int) -> None:
        save_checkpoint(folder, kind="toy", config={"k": k}, arrays=ARRAYS, file_format=file_format)

    log = place / "log"

    def loaded() -> int | None:  # in a process of its own: a process with JAX must not fork
        with _child(lambda: print(load_checkpoint(folder, kind="toy")[0]["k"], flush=True), log):
            pass
        text = log.read_text().strip()
        return int(text) if text.isdecimal() else None

    def clean() -> None:
        with _child(lambda: save(0)):
            pass

    clean()
    for number in range(1, count + 1):
        known = loaded()
        dies_at = number % 12 if at_renames else None
        with _child(lambda number=number, dies_at=dies_at: _write(save, number, dies_at)) as child:
            if not at_renames:
                time.sleep(draw.random() * LONGEST_WRITE[file_format])
                os.kill(child, signal.SIGKILL)
        found = loaded()
        counts[
            "the old one" if found == known else "the new one" if found == number else "FAILED: neither"
        ] += 1
    clean()
    left = [path.name for path in place.iterdir() if leftovers.is_temporary(path.name)]
    counts["FAILED: leftovers" if left else "nothing left over at the end"] += 1
    return counts


def small_disks(count: int, file_format: Any, draw: random.Random, place: Path) -> collections.Counter:
    """Writes where there is too little space: under a limit on the size of files, and on small disks."""
    counts = collections.Counter[str]()
    arrays = {str(i): np.random.RandomState(i).rand(200, 200) for i in range(10)}  # 3.2 MB
    for number in range(count):
        disk = place / "disk"
        disk.mkdir(exist_ok=True)
        size = draw.randrange(1, 70) * 100_000
        mounted = number % 2 == 0 and _mount(disk, size)
        log = place / "log"

        def write(disk: Path = disk, size: int = size, mounted: bool = mounted) -> None:
            if not mounted:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            save_checkpoint(disk / "m", kind="toy", config={}, arrays=arrays, file_format=file_format)

        try:
            with _child(write, log):
                pass
            lines = log.read_text().splitlines()
            names = [path.name for path in disk.iterdir()]
            if not lines and names == ["m"]:
                counts["whole"] += 1
            elif len(lines) == 1 and "could not write" in lines[0] and not names:
                counts["one line, nothing left"] += 1
            else:
                counts[f"FAILED: {len(lines)} lines, left {names}"] += 1
        finally:
            if mounted:
                subprocess.run(["umount", str(disk)], check=True)
            shutil.rmtree(disk)
    return counts


def command_lines(count: int, place: Path) -> collections.Counter:
    """Runs wrong command lines."""
    counts = collections.Counter[str]()
    names = {name: place / name for name in ("new", "other", "absent", "pipe", "generator")}
    names["other"].mkdir()
    (names["other"] / "notes.txt").write_text("mine")
    os.mkfifo(names["pipe"])
    save_checkpoint(names["generator"], kind="generator", config={}, arrays=ARRAYS, file_format="npz")
    (names["generator"] / "notes.txt").write_text("mine")
    before = sorted(path.name for path in place.rglob("*"))
    for command in COMMANDS[:count]:
        arguments = command.format(**names).split()
        code = "from jaxedit.cli import main; main()"
        try:
            done = subprocess.run(
                [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=10 * SECONDS
            )
        except subprocess.TimeoutExpired:
            counts[f"FAILED: hangs: {command}"] += 1
            continue
        clean = done.returncode in (1, 2) and "Traceback" not in done.stderr
        kept = sorted(path.name for path in place.rglob("*")) == before
        ok = clean and kept and done.stderr.strip()
        counts["refused, nothing written" if ok else f"FAILED: {command}: {done.stderr[-200:]}"] += 1
    return counts


def _damage(path: Path, draw: random.Random) -> str:
    content, how = bytearray(path.read_bytes()), draw.choice((CUT, FLIP, FLIP, ZEROS, GARBAGE))
    at = draw.randrange(len(content))
    if how == CUT:
        del content[at:]
    elif how == FLIP:
        content[at] ^= 1 << draw.randrange(8)
    else:
        length = draw.randrange(1, 40)
        content[at : at + length] = bytes(length) if how == ZEROS else draw.randbytes(length)
    path.write_bytes(content)
    return how


def _outcome(read: Callable[[], Any], expected: Any, how: str) -> str:
    begun = time.perf_counter()
    try:
        found = _plain(read())
    except JaxeditError:
        ended = "refused"
    except Exception as error:  # what this script looks for
        return f"FAILED: {type(error).__name__}: {error}"[:160]
    else:
        ended = "right content" if found == expected else f"FAILED: other content ({how})"
    return ended if time.perf_counter() - begun < SECONDS else "FAILED: slow"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(node) for name, node in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(node) for node in value]
    return [str(value.dtype), value.tolist()] if hasattr(value, "tolist") else value


def _write(save: Callable[[int], None], k: int, dies_at: int | None) -> None:
    """Save; if asked for, die before the n-th call that changes a name."""
    calls = 0

    def dying(event: str, arguments: Any) -> None:
        nonlocal calls
        if event in ("os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "ctypes.call_function"):
            if calls == dies_at:
                os._exit(9)
            calls += 1

    if dies_at is not None:
        sys.addaudithook(dying)
    save(k)


@contextlib.contextmanager
def _child(work: Callable[[], None], log: Path | None = None) -> Iterator[int]:
    """A forked process that does the work; its errors are lines of the log."""
    child = os.fork()
    if child == 0:
        with (log or Path(os.devnull)).open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        try:
            work()
        except JaxeditError as error:
            os.write(2, f"{error}\n".encode())
        except BaseException as error:
            os.write(2, f"Traceback\n{type(error).__name__}: {error}\n".encode())
        os._exit(0)
    try:
        yield child
    finally:
        os.waitpid(child, 0)


def _mount(disk: Path, size: int) -> bool:
    if os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    return subprocess.run(command, capture_output=True).returncode == 0


def main() -> None:
    """Run all parts, print the counts, and exit with 1 if a case fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="number of cases, relative to the usual")
    parser.add_argument("--small", action="store_true", help="a tenth of all")
    parser.add_argument("--json", type=Path, help="file of the counts")
    arguments = parser.parse_args()
    draw, part = random.Random(arguments.seed), 0.1 if arguments.small else arguments.scale
    counts: dict[str, collections.Counter] = {}

    def add(name: str, work: Callable[[Path], collections.Counter]) -> None:
        with tempfile.TemporaryDirectory() as place:
            counts[name] = work(Path(place))
        print(f"{name}: {dict(counts[name])}", flush=True)

    # What forks stands before what starts JAX in this process.
    for file_format, counted in CASES.items():
        is_slow = file_format == "orbax"
        if is_slow:
            importlib.import_module("orbax.checkpoint")  # once, not in each child
        number, disks = (4 if arguments.small and is_slow else max(4, int(some * part)) for some in counted)
        for at_renames, when in ((False, "at random moments"), (True, "before each change of a name")):
            add(
                f"kills {when}, {file_format}",
                lambda place, n=number, f=file_format, a=at_renames: kills(n, f, draw, place, at_renames=a),
            )
        add(f"small disks, {file_format}", lambda p, n=disks, f=file_format: small_disks(n, f, draw, p))
    add("hostile files", hostile)
    for reader in READERS:
        add(f"damaged: {reader.name}", lambda place, r=reader: damaged(r, int(400 * part), draw, place))
    add("wrong command lines", lambda place: command_lines(5 if arguments.small else len(COMMANDS), place))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(counts, indent=1) + "\n")
    failures = sum(
        n for counter in counts.values() for name, n in counter.items() if name.startswith("FAILED")
    )
    total = sum(sum(counter.values()) for counter in counts.values())
    print(f"{total} cases, {failures} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
