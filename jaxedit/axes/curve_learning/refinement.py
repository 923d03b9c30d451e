"""What the stages of a refinement share: networks, latents, settings, the run folder, batches over devices."""

import dataclasses
from collections.abc import Iterator
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float
from tqdm import tqdm

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.curve_learning.config import RefinementConfig
from jaxedit.axes.curve_learning.descent import Curve
from jaxedit.axes.curve_learning.image_reader import ImageReader
from jaxedit.axes.curve_learning.loss import ColumnWeights, EditModel, ImageLossConfig, column_weights
from jaxedit.generators.protocol import Generator
from jaxedit.parallel import replicate, shard_batch
from jaxedit.storage.runs import RunFolder


@dataclasses.dataclass(frozen=True)
class Refinement:
    """What all stages of one refinement share.

    Attributes:
        generator: renders in full.
        axes: whose curves are learned.
        config: the settings.
        loss: weights of the loss, with as many identity weights as there are descriptors.
        model: from moves to readings; its reader is not fitted to the independent networks yet.
        w: latents to learn from.
        num_classified: number of the classifier's own columns, of which the axes have some.
        columns: names of the columns: the attributes of the axes, then the independent networks'.
        targets: attributes whose curves are learned.
        held: attributes that every curve holds.
        run: where the stages are kept.
        mesh: over whose devices batches are divided.
        progress: whether to show bars.
    """

    generator: Generator
    axes: AttributeAxes
    config: RefinementConfig
    loss: ImageLossConfig
    model: EditModel
    w: Float[np.ndarray, "num_latents w_dim"]
    num_classified: int
    columns: tuple[str, ...]
    targets: tuple[str, ...]
    held: tuple[str, ...]
    run: RunFolder
    mesh: Mesh | None
    progress: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Of a tangent: groups and coordinates."""
        return int(np.max(np.asarray(self.model.group_of_layer))) + 1, self.axes.pca.num_components

    @property
    def reader(self) -> ImageReader:
        """The reader of the model."""
        return cast(ImageReader, self.model.reader)

    def former_curve(self, name: str) -> Curve:
        """The curve that the axes have of an attribute."""
        curves, at = self.axes.curves, self.axes.attribute_names.index(name)
        assert curves is not None
        return np.asarray(curves.tangents[at], np.float64), np.asarray(curves.curvatures[at], np.float64)

    def weights(self, target: str) -> ColumnWeights:
        """ω of a target."""
        weights = {**self.config.weights, **dict.fromkeys(self.held, 1.0)}
        return column_weights(target, self.columns, weights, default=self.config.default_weight)

    def bar(self, what: str, total: int, unit: str) -> tqdm:
        """A progress bar."""
        return tqdm(total=total, desc=what, unit=unit, disable=not self.progress)

    def placed(self, tree: Any) -> Any:
        """Arrays on every device of the mesh."""
        return tree if self.mesh is None else replicate(tree, self.mesh)

    def batches(self, size: int, *arrays: Any) -> Iterator[tuple[int, Any]]:
        """Batches of rows with the number of their rows; the last one is filled up with its last row."""
        for start in range(0, len(arrays[0]), size):
            count = min(size, len(arrays[0]) - start)
            rows = np.minimum(np.arange(start, start + size), len(arrays[0]) - 1)
            batch = tuple(jax.tree.map(lambda a, rows=rows: np.asarray(a)[rows], array) for array in arrays)
            yield (
                count,
                jax.tree.map(jnp.asarray, batch) if self.mesh is None else shard_batch(batch, self.mesh),
            )

    def per_device(self, size: int) -> int:
        """The next multiple of the devices."""
        devices = 1 if self.mesh is None else self.mesh.size
        return -(-size // devices) * devices
