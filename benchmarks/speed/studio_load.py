"""Load of `jaxedit studio`: many visitors who move sliders at once, and the memory of the server.

    python -m benchmarks.speed.studio_load --clients 200 --moves 10 --json benchmarks/results/studio_load_cpu.json

Each client opens a visit of its own as the page does, takes a face of its own, and moves a slider: it sends the next
amount when the image of the last one is there. Afterwards new visits ask for some of the same faces with the last
amounts, one after the other; the images must be the same, byte for byte. Needs the extra `studio`.
"""

import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from benchmarks.reporting import Rows, finish

_SECONDS = 900.0
_START = "import sys; sys.argv[0] = 'jaxedit'; from jaxedit.cli import main; main()"


class Client:
    """One visitor, who speaks to the server as the page does.

    Args:
        http: connection.
        config: of the page, as the server describes it.
        visit: name of the visit.
    """

    def __init__(self, http: httpx.AsyncClient, config: dict[str, Any], visit: str) -> None:
        self.http, self.visit = http, visit
        self.functions = {one["api_name"]: one for one in config["dependencies"]}
        self.num_sliders = len(self.functions["rest"]["inputs"])
        self.waited: list[float] = []

    async def ask(self, name: str, values: list[Any]) -> list[Any]:
        """The answer of a function of the page."""
        start = time.perf_counter()
        body = {"data": values, "fn_index": self.functions[name]["id"], "session_hash": self.visit}
        (await self.http.post("/gradio_api/queue/join", json=body)).raise_for_status()
        async with self.http.stream(
            "GET", "/gradio_api/queue/data", params={"session_hash": self.visit}
        ) as lines:
            async for line in lines.aiter_lines():
                event = json.loads(line[5:]) if line.startswith("data:") else {}
                if event.get("msg") == "process_completed":
                    if not event["success"]:
                        raise RuntimeError(f"{name}: {event['output']}")
                    self.waited.append(time.perf_counter() - start)
                    return event["output"]["data"]
        raise RuntimeError(f"{name}: lost")

    async def take_face(self, number: int) -> None:
        """Take a face by its number."""
        await self.ask("choose_number", [number])

    async def preview(self, amount: float) -> bytes:
        """The image for an amount of the third slider, which moves in standard deviations."""
        values = [0.0] * self.num_sliders
        values[2] = amount
        start = time.perf_counter()
        answer = await self.http.post("/preview", json={"visit": self.visit, "values": values})
        self.waited.append(time.perf_counter() - start)
        return answer.raise_for_status().content


def amounts_of(number: int, moves: int) -> list[float]:
    """Amounts that a visitor goes through; the last one differs between visitors."""
    return [round(((number * 7 + move * 13) % 40) / 10 - 2, 1) for move in range(moves)]


async def visit_all(url: str, clients: int, moves: int, first: int, at_once: bool) -> dict[str, Any]:
    """All visitors, at once or one after the other (these go to their last amounts directly)."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=_SECONDS, limits=limits) as http:
        config = (await http.get("/config")).json()
        visitors = [Client(http, config, f"load{first + i:06d}") for i in range(clients)]
        last: list[bytes] = [b""] * clients

        async def move(place: int) -> None:
            for amount in amounts_of(place, moves) if at_once else amounts_of(place, moves)[-1:]:
                last[place] = await visitors[place].preview(amount)

        for place, visitor in enumerate(visitors):
            await visitor.take_face(1000 + place)
            visitor.waited.clear()
        start = time.perf_counter()
        if at_once:
            await asyncio.gather(*(move(place) for place in range(clients)))
        else:
            for place in range(clients):
                await move(place)
        waited = [seconds for visitor in visitors for seconds in visitor.waited]
        return {"seconds": time.perf_counter() - start, "waited": waited, "last": last}


def _resident(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def load(clients: int, moves: int, checked: int, folder: Path) -> Rows:
    """Serve a page in a process of its own, and visit it."""
    command = [sys.executable, "-c", _START, "studio", "--no-browser", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            if found is None:
                raise RuntimeError("the server did not start")
            url = found[0].rstrip("/")
            asyncio.run(visit_all(url, 4, 3, 900_000, True))  # compiles
            before = _resident(server.pid)
            busy = asyncio.run(visit_all(url, clients, moves, 0, True))
            after = _resident(server.pid)
            again = asyncio.run(visit_all(url, checked, moves, 100_000, False))
            end = _resident(server.pid)
        finally:
            server.terminate()
    same = sum(a == b for a, b in zip(busy["last"], again["last"], strict=False))
    return [
        {
            "clients at once": clients,
            "images": len(busy["waited"]),
            "checked": checked,
            "of these lost or crossed": checked - same,
            "images a second": len(busy["waited"]) / busy["seconds"],
            "median wait s": statistics.median(busy["waited"]),
            "longest wait s": max(busy["waited"]),
            "wait alone s": statistics.median(again["waited"]),
            "memory before MB": before,
            "memory after MB": after,
            "requests in all": clients * (moves + 1) + 2 * checked,
            "memory at the end MB": end,
        }
    ]


def main(
    clients: Annotated[int, typer.Option(min=1, help="Visitors at once.")] = 200,
    moves: Annotated[int, typer.Option(min=1, help="Images that each asks for.")] = 10,
    checked: Annotated[int, typer.Option(min=1, help="Visitors whose last image is checked.")] = 40,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        finish(
            "Load of the studio",
            {"load": load(clients, moves, min(checked, clients), Path(folder))},
            json_file,
        )


if __name__ == "__main__":
    typer.run(main)
