"""Shared by the benchmarks: timing, the description of the machine, tables, JSON."""

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import typer
from matplotlib.figure import Figure

from jaxedit._version import __version__
from jaxedit.storage.atomic import write_atomically

Rows = list[dict[str, Any]]


def measure(function: Callable[[], Any], *, repeats: int = 9) -> dict[str, float]:
    """Seconds of a call: "first" (with compilation), and "median", "min" and "max" of `repeats` more calls.

    The measured time includes waiting for the result.
    """
    return measure_side_by_side({"": function}, repeats=repeats)[""]


def measure_side_by_side(
    functions: dict[str, Callable[[], Any]], *, repeats: int = 9
) -> dict[str, dict[str, float]]:
    """`measure` for several functions, by name. They take turns, so that a slow minute affects all of them."""
    first = {name: _seconds(function) for name, function in functions.items()}
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            times[name].append(_seconds(function))
    return {
        name: {"first": first[name], "median": statistics.median(own), "min": min(own), "max": max(own)}
        for name, own in times.items()
    }


_WATCHED = """
import pathlib, resource, runpy, sys
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
try:  # ru_maxrss of a child starts at the memory of its parent
    status = pathlib.Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
except OSError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


def peak_memory(module: str, *arguments: str) -> int:
    """Peak memory in bytes of a new process that runs a module.

    Args:
        module: name of the module.
        arguments: its arguments on the command line.

    Raises:
        RuntimeError: if the process fails.
    """
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, module, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{module}: {done.stderr.strip().splitlines()[-1]}")
    return int(done.stdout.split()[-1])


def _seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def environment(*packages: str) -> dict[str, Any]:
    """Date, device and versions of Python, jaxedit, JAX, Flax and the given packages."""
    device = jax.devices()[0]
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": device.device_kind if device.platform != "cpu" else _processor(),
        "platform": device.platform,
        "cpu_count": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "jaxedit": __version__,
        **{name: importlib.metadata.version(name) for name in ("jax", "flax", *packages)},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def print_table(title: str, rows: Rows) -> None:
    """Print rows as a plain table. Columns are the keys of all rows; missing cells stay empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_format(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(column), *(len(row[i]) for row in cells)) for i, column in enumerate(columns)]
    print(f"\n{title}")
    for row in (columns, ["-" * width for width in widths], *cells):
        print("  ".join(_align(cell, width) for cell, width in zip(row, widths, strict=True)), flush=True)


def _align(cell: str, width: int) -> str:
    return cell.rjust(width) if cell[:1].isdigit() or cell[:1] == "-" else cell.ljust(width)


def _format(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def check_photographs(photos: Sequence[Path]) -> None:
    """Refuse paths without a file, before the work.

    Raises:
        typer.BadParameter: naming the first one.
    """
    for photo in photos:
        if not photo.is_file():
            raise typer.BadParameter(f"expected a photograph, found none at {photo}")


def save_panels(figure: Figure, path: Path) -> None:
    """Write a figure whose panels all begin at 0."""
    for panel in figure.axes:
        panel.set_ylim(bottom=0)
        panel.grid(visible=True, color="#e4e7ea")
        panel.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def finish(name: str, results: dict[str, Rows], json_path: Path | None, packages: Sequence[str] = ()) -> None:
    """Print all tables, and write them as JSON if a path is given.

    Args:
        name: name of the benchmark.
        results: rows of each table, by title.
        json_path: file to write, with the description of the machine.
        packages: packages whose versions are recorded.
    """
    machine = environment(*packages)
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in machine.items()))
    for title, rows in results.items():
        print_table(title, rows)
    if json_path is not None:
        content = json.dumps({"benchmark": name, "environment": machine, "results": results}, indent=2) + "\n"
        write_atomically(json_path, content.encode())
