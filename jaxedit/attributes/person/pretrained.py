"""The published weights of the person mask."""

from pathlib import Path
from typing import Any

from jaxedit.errors import InputError
from jaxedit.nn.graph_network import GraphNetwork
from jaxedit.storage.download import HUMAN_MODELS
from jaxedit.storage.pretrained_weights import PretrainedWeights
from weights_conversion.formats.tfjs_graph import read_graphs

_OUTPUT = "activation_10"


def _convert(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    config, arrays = read_graphs(path, {"selfie": "package/models/selfie.json"})
    names = config["networks"]["selfie"]["constants"]
    # The names of TensorFlow hold slashes, which a checkpoint would take for folders: numbers instead.
    return config, {f"{index:03}": arrays["selfie"][name] for index, name in enumerate(names)}


PERSON_MASK_WEIGHTS = PretrainedWeights("person-mask", HUMAN_MODELS, _convert, layout=1)
"""Of the package human-models (145 MB); the network itself has 0.2 MB."""


def load_mask_network(folder: str | Path | None = None) -> GraphNetwork:
    """The network: images [batch, 256, 256, 3] in 0…1 to the probability of a person [batch, 256, 256, 1].

    Args:
        folder: a checkpoint folder of kind "person-mask". None: the one in the cache, which is made first if it is
            missing or damaged.

    Raises:
        DownloadError: if the source cannot be fetched.
        CheckpointError: if `folder` is given and is missing, damaged, or of another kind.
        OutputError: if the cache cannot be written.
    """

    def build(config: dict[str, Any], arrays: dict[str, Any]) -> GraphNetwork:
        graph = config["networks"]["selfie"]
        constants = {name: arrays[f"{index:03}"] for index, name in enumerate(graph["constants"])}
        return GraphNetwork(graph, constants, outputs=(_OUTPUT,))

    return PERSON_MASK_WEIGHTS.load(build, folder, damage=(KeyError, InputError))
