"""In place of the person network."""

import jax.numpy as jnp
import numpy as np

from jaxedit.attributes.person.mask import PersonMask
from jaxedit.attributes.person.places import PLACES, FacePlaces, PlaceMasks
from jaxedit.nn.graph_network import GraphNetwork


def person_at(mask: np.ndarray) -> PersonMask:
    """The same mask for every image, [side, side] of 0…1."""
    nodes = [
        {"name": "none", "op": "Sub", "inputs": ["x", "x"], "attributes": {}},
        {"name": "zero", "op": "Mean", "inputs": ["none"], "attributes": {"axes": [3], "keep_dims": True}},
        {"name": "mask", "op": "Add", "inputs": ["zero", "person"], "attributes": {}},
    ]
    graph = {"input": "x", "input_shape": [*mask.shape, 3], "constants": ["person"], "nodes": nodes}
    return PersonMask(GraphNetwork(graph, {"person": mask[..., None].astype(np.float32)}, outputs=["mask"]))


class LeftHalf(FacePlaces):
    """In place of the networks that find places: every place is the left half of the image."""

    def __init__(self) -> None:
        """Without networks."""

    def __call__(self, original, edited, place):
        mask = jnp.zeros((len(original), 128, 128)).at[..., :64].set(1)
        return PlaceMasks(mask, mask)

    def each(self, original, edited):
        return PlaceMasks(*(jnp.stack([mask] * len(PLACES)) for mask in self(original, edited, "person")))
