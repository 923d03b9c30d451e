"""Visits of an exported page in Chromium."""

import base64
import json
from pathlib import Path

import numpy as np

SECONDS = 1000  # in thousandths
PATIENCE = 60 * SECONDS

_PIXELS = """() => {
  const canvas = document.querySelector("#canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let text = "";
  for (let i = 0; i < data.length; i += 32768) text += String.fromCharCode(...data.subarray(i, i + 32768));
  return [canvas.height, canvas.width, btoa(text)];
}"""

_SHOWN = """([kind, shown]) => {
  const { dataset } = document.querySelector("#canvas");
  const isThere = dataset.shown === shown && (kind === "any" || dataset.kind === kind);
  return isThere || !document.querySelector("#problem").hidden;
}"""


class Visit:
    """A page that is open, the hosts that it asked, and what it said on its console."""

    def __init__(self, browser, url, **options):
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.hosts, self.errors = set(), []
        self.context.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)

    def wait_for(self, seed, amounts=None, kind="whole"):
        """Until an image of these edits is shown; the milliseconds that it took."""
        key = json.dumps(
            sorted([name, amount] for name, amount in (amounts or {}).items()), separators=(",", ":")
        )
        self.page.wait_for_function(_SHOWN, arg=[kind, f"{seed} {key}"])
        assert not self.page.locator("#problem").is_visible(), self.page.inner_text("#problem")
        return float(self.page.locator("#canvas").get_attribute("data-milliseconds"))

    def problem(self):
        """What the page says when it cannot go on."""
        self.page.wait_for_selector("#problem", state="visible")
        return self.page.inner_text("#problem")

    def pixels(self):
        """The canvas, [height, width, 3], as whole numbers."""
        height, width, text = self.page.evaluate(_PIXELS)
        return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)[..., :3].astype(int)

    def everywhere(self):
        """Let edits change the whole image."""
        self.page.locator("#in-places").uncheck()

    def amount(self, name, amount):
        """Type an amount beside a slider."""
        field = self.page.locator(f"#slider-{name}-number")
        field.fill(str(amount))
        field.press("Enter")

    def move(self, name, amount, event="input"):
        """Move a slider as a pointer does that holds it."""
        self.page.evaluate(
            """([id, amount, event]) => {
              const slider = document.getElementById(id);
              slider.value = amount;
              slider.dispatchEvent(new Event(event, { bubbles: true }));
            }""",
            [f"slider-{name}", amount, event],
        )

    def close(self):
        self.context.close()


def own_bytes(browser) -> int:
    """Memory of all processes of a browser, without that of files, which the machine gives and takes (Linux)."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    kilobytes = 0
    for process in processes:
        status = Path(f"/proc/{process['id']}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        kilobytes += sum(int(x.split()[1]) for x in lines if x.startswith(("RssAnon:", "RssShmem:")))
    return 1024 * kilobytes
