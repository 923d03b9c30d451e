"""What an edited image costs: processor time, memory, files, and the start of a process, by runtime.

    python -m benchmarks.speed.cost --json cost.json

Each runtime edits faces along two axes at 1024², one after the other, in a process of its own: this library, with
an empty and with a filled cache of compiled programs; ONNX Runtime with exported models and nothing of this library;
and the exported page in Chromium. Needs the extras `onnx`, `test` and `benchmark`, npm, and Chromium.
"""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.reporting import Rows, finish
from jaxedit.export.onnx_models import export_onnx
from jaxedit.export.web.page import export_web
from jaxedit.export.web.serve import serve_page
from jaxedit.pretrained.registry import load_axes, load_generator

_NAME = "mobile-stylegan-ffhq"
_CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_TICKS = os.sysconf("SC_CLK_TCK")


def peak_and_output(command: list[str], environment: dict[str, str]) -> tuple[int, dict[str, Any], float]:
    """Peak memory in bytes, the last line of the output as JSON, and seconds of a process."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        peak = _watched(lambda: [process.pid], process)
        output = process.stdout.read() if process.stdout else ""
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}")
    return peak(), json.loads(output.strip().splitlines()[-1]), time.perf_counter() - start


def _watched(pids: Callable[[], list[int]], process: "subprocess.Popen[str] | None") -> Callable[[], int]:
    """Watch the memory of processes; the function that is returned ends that and gives the peak in bytes."""
    peak, is_over = [0], threading.Event()

    def watch() -> None:
        while not is_over.is_set() and (process is None or process.poll() is None):
            peak[0] = max(peak[0], sum(_proportional_bytes(pid) for pid in pids()))
            time.sleep(0.05)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()

    def end() -> int:
        is_over.set()
        watcher.join()
        return peak[0]

    return end


def _proportional_bytes(pid: int) -> int:
    """Memory of a process; what several share counts by shares."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has ended
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def _processor_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def _distribution_bytes(*names: str) -> int:
    """Bytes on disk of packages and of what they need."""
    waiting, known, total = list(names), set(), 0
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in known:
            continue
        known.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        total += sum(
            Path(str(found.locate_file(file))).stat().st_size
            for file in found.files or ()
            if Path(str(found.locate_file(file))).is_file()
        )
        for requirement in found.requires or ():
            if "extra ==" not in requirement:
                waiting.append(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])
    return total


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def jax_rows(count: int, work: Path) -> Rows:
    """This library, with an empty and with a filled cache of programs."""
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(work / "compiled")}
    command = [sys.executable, "-m", "benchmarks.speed.cost_jax", str(count)]
    rows: Rows = []
    for name in ("this library, first start", "this library, later starts"):
        peak, parts, _ = peak_and_output(command, environment)
        rows.append({"runtime": name} | _row(parts, peak, _distribution_bytes("jaxedit"), 0))
    return rows


def onnx_row(count: int, work: Path) -> dict[str, Any]:
    """ONNX Runtime."""
    generator = load_generator(_NAME)
    export_onnx(generator, work / "models", axes=load_axes(_NAME, generator), weights="int16")
    command = [sys.executable, "-m", "benchmarks.speed.cost_onnx", str(work / "models"), str(count)]
    peak, parts, _ = peak_and_output(command, dict(os.environ))
    size = _distribution_bytes("onnxruntime", "numpy")
    return {"runtime": "ONNX Runtime"} | _row(parts, peak, size, _bytes_of(work / "models"))


def browser_row(count: int, work: Path) -> dict[str, Any]:
    """The exported page in Chromium."""
    from playwright.sync_api import sync_playwright

    export_web(load_generator(_NAME), work / "page", axes=load_axes(_NAME))
    served = serve_page(work / "page")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_CHROMIUM_OPTIONS)
            session = browser.new_browser_cdp_session()

            def pids() -> list[int]:
                return [one["id"] for one in session.send("SystemInfo.getProcessInfo")["processInfo"]]

            page = browser.new_page()
            start = time.perf_counter()
            page.goto(served.url)
            _wait_for(page, "7 []")
            first, found = time.perf_counter() - start, pids()
            page.locator("#in-places").uncheck()  # as the others draw
            for name in ("skin_lightness", "smile"):
                page.locator(f"#slider-{name}-number").fill("1")
                page.locator(f"#slider-{name}-number").press("Enter")
            edits = '[["skin_lightness",1],["smile",1]]'
            _wait_for(page, f"7 {edits}")
            peak = _watched(lambda: found, None)
            processor, begun = _processor_seconds(found), time.perf_counter()
            for seed in range(100, 100 + count):
                page.locator("#seed").fill(str(seed))
                page.locator("#seed").press("Enter")
                _wait_for(page, f"{seed} {edits}")
            parts = {
                "first": first,
                "seconds": (time.perf_counter() - begun) / count,
                "processor": (_processor_seconds(found) - processor) / count,
            }
            memory = peak()
            browser.close()
    finally:
        served.close()
    return {"runtime": "the page in Chromium"} | _row(parts, memory, 0, _bytes_of(work / "page"))


def _wait_for(page: Any, shown: str) -> None:
    page.wait_for_function(
        """(shown) => {
          const { dataset } = document.querySelector("#canvas");
          return dataset.shown === shown && dataset.kind === "whole";
        }""",
        arg=shown,
        timeout=120_000,
    )


def _row(parts: dict[str, Any], peak: int, packages: int, files: int) -> dict[str, Any]:
    return {
        "import s": parts.get("import", ""),
        "load s": parts.get("load", ""),
        "first image s": parts["first"],
        "seconds an image": parts["seconds"],
        "processor seconds an image": parts["processor"],
        "processor hours of 1,000 images": 1000 * parts["processor"] / 3600,
        "peak memory MB": peak / 1e6,
        "packages MB": packages / 1e6 if packages else "",
        "models and page MB": files / 1e6 if files else "",
    }


def main(
    images: Annotated[int, typer.Option(help="measured images of each runtime")] = 32,
    json_path: Annotated[Path | None, typer.Option("--json", help="JSON file for the numbers")] = None,
) -> None:
    """Measure, print, and write."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        rows = [*jax_rows(images, work), onnx_row(images, work), browser_row(images, work)]
    finish("cost", {"cost": rows}, json_path, ["onnxruntime", "numpy"])


if __name__ == "__main__":
    typer.run(main)
