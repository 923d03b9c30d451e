"""A classifier of learned attributes: frozen features of regions, and a linear head for each attribute.

A pure function of the images, differentiable in them, and a pytree: axes are learned and refined through it as through
any other classifier.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxedit.attributes.learned.frozen import FROZEN, load_frozen
from jaxedit.attributes.learned.regions import COLORS, Region, RegionFeatures
from jaxedit.errors import CheckpointError, InputError
from jaxedit.storage.array_trees import read_array_tree, write_array_tree
from jaxedit.storage.checkpoints import load_checkpoint, save_checkpoint

KIND = "classifier"
"""Kind of the checkpoint folder."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["features", "weights", "bias"],
    meta_fields=["names", "units"],
)
@dataclasses.dataclass(frozen=True)
class LearnedClassifier:
    """Images to values of attributes that somebody marked; see `jaxedit.learn_classifier`.

    Attributes:
        features: of the regions.
        weights: of each region's features, by its name: one column for each attribute, zeros where an attribute is not
            read off a region.
        bias: added to the sums.
        names: of the attributes.
        units: "log-odds" of attributes that are there or not, "level" of graded ones.
    """

    __no_type_check__ = True

    features: RegionFeatures
    weights: Mapping[str, Float[Array, "num_features num_attributes"]]
    bias: Float[Array, " num_attributes"]
    names: tuple[str, ...]
    units: tuple[str, ...]

    def __call__(self, images: Float[Array, "batch side side 3"]) -> Float[Array, "batch num_attributes"]:
        """Values of square images in [-1, 1], of the resolution that was learned from or another."""
        found = self.features(images)
        return sum((found[name] @ weight for name, weight in self.weights.items()), self.bias)

    def save(self, folder: str | Path) -> Path:
        """Write a checkpoint folder of kind "classifier". Weights are kept in half precision.

        Raises:
            OutputError: if the folder cannot be written.
        """
        return save_checkpoint(folder, kind=KIND, config=self._described(), arrays=self._arrays())

    def save_file(self, path: str | Path) -> Path:
        """Write one small compressed file (`.npz`), as classifiers ship with the package.

        Raises:
            OutputError: if the file cannot be written.
        """
        return write_array_tree(path, self._described(), self._arrays(), kind=KIND, compressed=True)

    def _described(self) -> dict[str, Any]:
        return {
            "network": self.features.network.network,
            "regions": [dataclasses.asdict(region) for region in self.features.regions],
            "names": list(self.names),
            "units": list(self.units),
        }

    def _arrays(self) -> dict[str, Any]:
        return {
            # Keys of arrays are plain names; the order is that of the regions, the colors last.
            "weights": {
                str(i): np.asarray(self.weights[name], np.float16)
                for i, name in enumerate(self.features.names)
            },
            "bias": np.asarray(self.bias, np.float32),
        }

    @classmethod
    def load(cls, folder: str | Path) -> "LearnedClassifier":
        """Read a folder written by `save`. The frozen network is fetched once (64 to 145 MB).

        Raises:
            CheckpointError: if the folder is missing, damaged, or of another kind.
            DownloadError: if the frozen network cannot be fetched.
        """
        return cls._of(folder, *load_checkpoint(folder, kind=KIND))

    @classmethod
    def load_file(cls, path: str | Path) -> "LearnedClassifier":
        """Read a file written by `save_file`. The frozen network is fetched once (64 to 145 MB).

        Raises:
            InputError: if the file is missing, damaged, or of another kind.
            CheckpointError: if its arrays do not fit together.
            DownloadError: if the frozen network cannot be fetched.
        """
        return cls._of(path, *read_array_tree(path, kind=KIND, expected="a file of a learned classifier"))

    @classmethod
    def _of(
        cls, folder: str | Path, config: Mapping[str, Any], arrays: Mapping[str, Any]
    ) -> "LearnedClassifier":
        try:
            regions = tuple(_region(described) for described in config["regions"])
            names, units = tuple(config["names"]), tuple(config["units"])
            order = (*(region.name for region in regions), COLORS)
            weights = {
                name: jnp.asarray(arrays["weights"][str(i)], jnp.float32) for i, name in enumerate(order)
            }
            bias = jnp.asarray(arrays["bias"], jnp.float32)
            network = config["network"]
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{folder}: damaged: {type(error).__name__}: {error}") from error
        shapes = {weight.shape[1:] for weight in weights.values()} | {bias.shape}
        if shapes != {(len(names),)} or len(units) != len(names):
            raise CheckpointError(
                f"{folder}: damaged: expected {len(names)} attributes in every array, got {shapes}"
            )
        if network not in FROZEN:
            raise CheckpointError(f"{folder}: expected a network of {', '.join(FROZEN)}, found {network!r}")
        return cls(RegionFeatures(load_frozen(network), regions), weights, bias, names, units)

    def select(self, names: tuple[str, ...]) -> "LearnedClassifier":
        """The classifier of some of the attributes, in the order given.

        Raises:
            InputError: if a name is unknown or comes twice.
        """
        if len(set(names)) != len(names) or not set(names) <= set(self.names):
            raise InputError(
                f"attributes: expected each once, some of {', '.join(self.names)}; got {', '.join(names)}"
            )
        columns = np.array([self.names.index(name) for name in names])
        return dataclasses.replace(
            self,
            weights={region: weight[:, columns] for region, weight in self.weights.items()},
            bias=self.bias[columns],
            names=tuple(names),
            units=tuple(self.units[column] for column in columns),
        )


def _region(described: Mapping[str, Any]) -> Region:
    left, top, right, bottom = (float(x) for x in described["box"])
    height, width = (int(x) for x in described["size"])
    third, fifth = ((int(rows), int(columns)) for rows, columns in described["grids"])
    return Region(str(described["name"]), (left, top, right, bottom), (height, width), (third, fifth))
