"""Fuzzing of the readers with damaged copies of valid files.

A reader must read each copy or raise a `ConversionError`, within seconds and in little memory.

    python -m tests.conversion.fuzz --files 10000 --seed 0 --format official
"""

import argparse
import collections
import io
import os
import random
import resource
import signal
import struct
import sys
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from tests.conversion.foreign_mobile import mobile_checkpoint
from tests.conversion.foreign_stylegan3 import stylegan3_module
from tests.conversion.foreign_torch import official_module, write_archive, write_pickle, write_stream
from tests.conversion.small_files import SMALL_FILES
from tests.conversion.small_generators import small_official, small_rosinality, small_stylegan3
from tests.conversion.small_onnx import residual_network
from weights_conversion.errors import ConversionError
from weights_conversion.formats.array_files import read_array_file
from weights_conversion.formats.onnx_graph import read_onnx_graph
from weights_conversion.models.conversion import Options
from weights_conversion.models.families import check_generator
from weights_conversion.models.official_pickle import convert_official_pickle
from weights_conversion.models.stylegan2.official import convert_official
from weights_conversion.models.stylegan2.rosinality import convert_rosinality
from weights_conversion.models.torch_checkpoint import convert_torch_checkpoint
from weights_conversion.table import flatten

SECONDS = 5
"""For one file of some kilobytes, of which a valid one takes some milliseconds."""
MEGABYTES = 256
"""By how much the largest memory of the process may grow."""


class Format(NamedTuple):
    """A valid file to damage, and its reader."""

    make: Callable[[], bytes]
    """A valid file."""
    read: Callable[[bytes], tuple[dict[str, Any], dict[str, Any]]]
    is_generator: bool = True
    """Whether what was read must be a whole generator."""


def _official() -> bytes:
    params, options = small_official()
    module = official_module(params, options | {"conv_clamp": 256}, source="raise SystemExit(1)\n")
    return write_pickle({"G": None, "G_ema": module})


def _stylegan3() -> bytes:
    return write_pickle({"G_ema": stylegan3_module(small_stylegan3())})


def _pickle_of_archive() -> bytes:
    """The pickle alone: in the archive a checksum would find nearly all of the damage."""
    with zipfile.ZipFile(io.BytesIO(write_archive(small_rosinality()))) as archive:
        return archive.read("checkpoint/data.pkl")


def _read_pickle_of_archive(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    return convert_rosinality(write_archive(small_rosinality(), change={"data.pkl": data}))


def _whole() -> bytes:
    params, options = small_official()
    return write_archive(official_module(params, options))


def _read_checkpoint(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    conversion = convert_torch_checkpoint(data, Options(conv_clamp=None))
    return conversion.config, conversion.params


def _pickle_of(archive: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.read("checkpoint/data.pkl")


def _read_with_arrays_of(value: Any) -> Callable[[bytes], tuple[dict[str, Any], dict[str, Any]]]:
    """A reader of a pickle beside the whole arrays of an archive."""
    return lambda data: _read_checkpoint(write_archive(value, change={"data.pkl": data}))


def _arrays(save: Callable[..., None]) -> bytes:
    """Latents by image, as others save them: a pickle inside an array of objects."""
    buffer = io.BytesIO()
    w = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    save(buffer, {"a.jpg": [w, w.astype(np.float64)], "b.jpg": {"latent": w, "seed": np.int64(3)}})
    return buffer.getvalue()


def _read_arrays(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    return {}, {"arrays": read_array_file(data)}


FORMATS: dict[str, Format] = {
    "official": Format(_official, convert_official),
    "official-stylegan3": Format(_stylegan3, convert_official_pickle),
    "torch-archive": Format(lambda: write_archive(small_rosinality()), convert_rosinality),
    "torch-archive-pickle": Format(_pickle_of_archive, _read_pickle_of_archive),
    "torch-whole": Format(_whole, _read_checkpoint),
    "torch-state-dict-pickle": Format(
        lambda: _pickle_of(write_archive(small_official()[0])), _read_with_arrays_of(small_official()[0])
    ),
    "mobile-stylegan-pickle": Format(
        lambda: _pickle_of(write_archive(mobile_checkpoint())), _read_with_arrays_of(mobile_checkpoint())
    ),
    "arrays-npy": Format(lambda: _arrays(np.save), _read_arrays, is_generator=False),
    "arrays-npz": Format(lambda: _arrays(np.savez_compressed), _read_arrays, is_generator=False),
    "onnx": Format(residual_network, lambda data: read_onnx_graph(data, name="model"), is_generator=False),
    "torch-stream": Format(lambda: write_stream(small_rosinality()), convert_rosinality),
    **{name: Format(*functions) for name, functions in SMALL_FILES.items()},
}

_OPCODES = bytes(range(0x80, 0x99)) + b"().012FIJKLMNPQRSTUVXabcdeghijloprstqu]}GBC\x8a\x8b"
_SIZES = [0, 1, 2**40, *(2**bits - less for bits in (7, 8, 15, 16, 31, 32, 63, 64) for less in (0, 1))]


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A damaged copy."""
    for _ in range(chance.choice([1, 1, 1, 2, 4, 16])):
        data = chance.choice(_MUTATIONS)(data, chance)
    return data


def _position(data: bytes, chance: random.Random) -> int:
    """A random position, more often near both ends, where files have their structure."""
    if not data:
        return 0
    kind = chance.random()
    if kind < 0.5:
        return chance.randrange(len(data))
    near = min(chance.randrange(1 + min(512, len(data) - 1)), len(data) - 1)
    return near if kind < 0.75 else len(data) - 1 - near


def _replace(data: bytes, position: int, content: bytes) -> bytes:
    return (data[:position] + content + data[position + len(content) :])[: len(data)]


def _flip_bit(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return data
    position = _position(data, chance)
    return _replace(data, position, bytes([data[position] ^ 1 << chance.randrange(8)]))


def _change_byte(data: bytes, chance: random.Random) -> bytes:
    return _replace(data, _position(data, chance), bytes([chance.randrange(256)]))


def _change_opcode(data: bytes, chance: random.Random) -> bytes:
    """Replaces a byte that looks like an operation of a pickle by another operation."""
    position = _position(data, chance)
    for offset in range(position, min(position + 64, len(data))):
        if data[offset] in _OPCODES:
            return _replace(data, offset, bytes([chance.choice(_OPCODES)]))
    return data


def _change_size(data: bytes, chance: random.Random) -> bytes:
    size, width = chance.choice(_SIZES), chance.choice([1, 2, 4, 8])
    content = (size % 2 ** (8 * width)).to_bytes(width, chance.choice(["little", "little", "big"]))
    return _replace(data, _position(data, chance), content)


def _change_number(data: bytes, chance: random.Random) -> bytes:
    """Changes a number in the file by a little."""
    position = _position(data, chance)
    width = chance.choice([1, 2, 4, 8])
    number = int.from_bytes(data[position : position + width], "little") + chance.choice([-2, -1, 1, 2])
    return _replace(data, position, (number % 2 ** (8 * width)).to_bytes(width, "little"))


def _change_float(data: bytes, chance: random.Random) -> bytes:
    value = chance.choice([float("nan"), float("inf"), -1.0, 1e300, 0.0])
    return _replace(data, _position(data, chance), struct.pack(chance.choice("<>") + "d", value))


def _truncate(data: bytes, chance: random.Random) -> bytes:
    return data[: _position(data, chance)]


def _splice(data: bytes, chance: random.Random) -> bytes:
    """Copies a part of the file over or into another part."""
    start, target = _position(data, chance), _position(data, chance)
    part = data[start : start + chance.choice([1, 4, 16, 64, 256, 1024])]
    if chance.random() < 0.5:
        return _replace(data, target, part)
    return data[:target] + part + data[target:]


def _remove(data: bytes, chance: random.Random) -> bytes:
    start = _position(data, chance)
    return data[:start] + data[start + chance.choice([1, 2, 4, 16, 64, 256]) :]


def _insert(data: bytes, chance: random.Random) -> bytes:
    start = _position(data, chance)
    return data[:start] + chance.randbytes(chance.choice([1, 2, 4, 8])) + data[start:]


_MUTATIONS = [
    *(_flip_bit, _change_byte, _change_opcode, _change_opcode, _change_size, _change_number),
    *(_change_float, _truncate, _splice, _remove, _insert),
]


class TooSlowError(BaseException):
    """Raised by the clock. No reader can take it for an error of its own."""


def _ring(_signal: int, _frame: FrameType | None) -> None:
    raise TooSlowError


def _outcome(form: Format, data: bytes) -> tuple[str, str]:
    """Result of reading a file: "read", "refused" or a failure, and the details of a failure."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        config, params = form.read(data)
        if form.is_generator:
            check_generator(config, params, name="result")
        if form.is_generator and not all(np.isfinite(array).all() for array in flatten(params).values()):
            return "failed", "the arrays are not finite"
        return "read", ""
    except ConversionError as error:
        is_short_line = len(str(error)) < 1000 and str(error).isprintable()
        return (
            ("refused", "") if is_short_line else ("failed", f"an unreadable message: {str(error)[:300]!r}")
        )
    except TooSlowError:
        return "failed", f"it took more than {SECONDS} s"
    except BaseException:
        return "failed", traceback.format_exc(limit=-3)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def fuzz(name: str, files: int, seed: int, *, keep: Path | None = None) -> bool:
    """Read damaged files of one format, and print a summary.

    Args:
        name: of the format.
        files: how many.
        seed: the same gives the same files.
        keep: a folder for the files that failed.

    Returns:
        Whether there was no failure.
    """
    form, valid = FORMATS[name], FORMATS[name].make()
    outcome, detail = _outcome(form, valid)
    if outcome != "read":
        print(f"{name}: the valid file was {outcome}: {detail}")
        return False
    counts: collections.Counter[str] = collections.Counter()
    slowest, before = 0.0, _peak_megabytes()
    for i in tqdm(range(files), desc=name, disable=None, mininterval=1):
        data = mutate(valid, random.Random(f"{name} {seed} {i}"))
        start = time.perf_counter()
        outcome, detail = _outcome(form, data)
        slowest = max(slowest, time.perf_counter() - start)
        growth = _peak_megabytes() - before
        if growth > MEGABYTES and outcome != "failed":
            outcome, detail, before = "failed", f"memory grew by {growth:.0f} MB", _peak_megabytes()
        counts[outcome] += 1
        if outcome == "failed":
            print(f"{name}: file {i} of seed {seed}: {detail}")
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{name}-{seed}-{i}").write_bytes(data)
    print(
        f"{name}: {files} files: {counts['read']} read, {counts['refused']} refused, {counts['failed']} failed; "
        f"slowest {slowest:.2f} s, memory grew by {_peak_megabytes() - before:.0f} MB"
    )
    return not counts["failed"]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Read damaged files.")
    parser.add_argument("--files", type=int, default=10_000, help="of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=sorted(FORMATS), action="append", help="by default each")
    parser.add_argument("--keep", type=Path, help="a folder for the files that fail")
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, _ring)
    limit = _virtual_bytes() + 4 * MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    results = [
        fuzz(name, arguments.files, arguments.seed, keep=arguments.keep)
        for name in arguments.format or FORMATS
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
