"""Frozen features of the images of the first latents, made in the background while a visitor marks faces.

They are the same for all things that are taught, so the cache keeps them.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxedit.attributes.learned.frozen import load_frozen
from jaxedit.attributes.learned.regions import RegionFeatures
from jaxedit.generators.protocol import weights_fingerprint
from jaxedit.labels.classifier_learning import REGIONS
from jaxedit.storage.arrays import ArrayOf
from jaxedit.storage.download import cache_dir
from jaxedit.storage.runs import RunFolder
from jaxedit.studio.drawing import Drawer

RUN_KIND = "studio features"

POOL = 1500
"""Latents whose images are shown, and labeled by what was taught."""

_UNIT = 60
_BATCH = 4


class FeaturePool:
    """The features of the first latents; ready ones come first. For several threads.

    Args:
        drawer: draws the images.
        w: the latents.
        regions: name of the regions (`jaxedit.labels.classifier_learning.REGIONS`).
    """

    def __init__(self, drawer: Drawer, w: Float[np.ndarray, "num_latents w_dim"], regions: str) -> None:
        self.drawer, self.regions = drawer, regions
        self.w = np.asarray(w, np.float32)
        self.count = 0
        self.problem: str | None = None
        self.network: RegionFeatures | None = None
        self._features: dict[str, np.ndarray] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin to make features in the background; once is enough."""
        with self._lock:
            if self._thread is None and self.count < len(self.w):
                self._thread = threading.Thread(target=self._work, name="studio-features", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the work after the batch in hand. What is whole stays in the cache."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def wait_for(self, count: int, seconds: float = 600.0) -> int:
        """Wait until so many latents are ready; gives how many are."""
        self.start()
        count, end = min(count, len(self.w)), time.monotonic() + seconds
        while self.count < count and self.problem is None and time.monotonic() < end:
            time.sleep(0.05)
        return self.count

    def of(self, rows: Int[np.ndarray, " num_rows"] | Sequence[int]) -> dict[str, np.ndarray]:
        """The features of some ready latents, by region."""
        return {name: array[rows] for name, array in self._features.items()}

    def scores(
        self, weights: Mapping[str, Float[np.ndarray, " num_features"]], bias: float
    ) -> Float[np.ndarray, " num_ready"]:
        """The values of a head for all ready latents."""
        count = self.count
        total = np.full(count, bias, np.float32)
        for name, weight in weights.items():
            array = self._features[name]
            for start in range(0, count, 256):
                rows = slice(start, min(start + 256, count))
                total[rows] += array[rows].astype(np.float32) @ weight
        return total

    def sizes(self) -> dict[str, int]:
        """The number of features of each region, as soon as a latent is ready."""
        return {name: array.shape[1] for name, array in self._features.items()}

    def _work(self) -> None:
        try:
            self._make()
        except Exception as error:  # shown on the page: a thread has nobody to raise to
            self.problem = str(error)

    def _make(self) -> None:
        regions, side = REGIONS[self.regions]
        network = self.network = RegionFeatures(load_frozen("alex"), regions, side)
        request = {
            "generator": weights_fingerprint(self.drawer.generator),
            "latents": weights_fingerprint(jnp.asarray(self.w)),
            "regions": self.regions,
        }
        folder = cache_dir() / "studio" / f"features-{request['latents'][:12]}-{self.regions}"
        run = RunFolder.open(folder, kind=RUN_KIND, request=request)
        expected = {name: ArrayOf("f", ("num_rows", f"features of {name}")) for name in network.names}
        for start in range(0, len(self.w), _UNIT):
            rows = self.w[start : start + _UNIT]
            unit = f"features/{start:06d}"
            found = run.read(unit, arrays=expected)
            if found is None or any(len(x) != len(rows) for x in found.values()):
                batches = []
                for first in range(0, len(rows), _BATCH):
                    if self._stop.is_set():
                        return
                    self.drawer.wait_for_quiet(self._stop)
                    batches.append(self._batch(network, rows[first : first + _BATCH]))
                    if not start:  # of the first unit every batch is worth having
                        self._keep(start + first, batches[-1])
                found = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
                run.write(unit, found)
            self._keep(start, found)

    def _batch(self, network: RegionFeatures, rows: np.ndarray) -> dict[str, np.ndarray]:
        filled = rows[np.minimum(np.arange(_BATCH), len(rows) - 1)]
        found = _read(self.drawer.small, network, jnp.asarray(filled))
        return {name: np.asarray(value[: len(rows)], np.float16) for name, value in found.items()}

    def _keep(self, start: int, found: Mapping[str, np.ndarray]) -> None:
        for name, array in found.items():
            if name not in self._features:
                self._features[name] = np.zeros((len(self.w), array.shape[1]), np.float16)
            self._features[name][start : start + len(array)] = array
        self.count = max(self.count, start + len(next(iter(found.values()))))


@jax.jit
def _read(render: Any, network: RegionFeatures, w: Array) -> dict[str, Array]:
    return network(render(w))
