"""The independent networks, by name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxedit.errors import InputError
from jaxedit.nn.graph_network import GraphNetwork
from jaxedit.storage.download import HUMAN_MODELS
from jaxedit.storage.pretrained_weights import PretrainedWeights
from weights_conversion.formats.tfjs_graph import read_graphs

_MODEL = "StatefulPartitionedCall/model_1"

INDEPENDENT_NETWORKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "faceres": ("faceres", ("age_pred/BiasAdd", "gender_pred/BiasAdd", "global_pooling/Mean")),
    "gear": ("gear", (f"{_MODEL}/age_output/BiasAdd", f"{_MODEL}/gender_output/BiasAdd")),
    "ssrnet_age": ("age", ("Identity",)),
    "ssrnet_gender": ("gender-ssrnet-imdb", ("Identity",)),
    "oarriaga": ("gender", (f"{_MODEL}/global_average_pooling2d_1/Mean",)),
    "emotion": ("emotion", (f"{_MODEL}/global_average_pooling2d_1/Mean",)),
    "facemesh": ("facemesh", ("Identity_2",)),
    "mobileface": ("mobileface", ("batchnorm0/add_1",)),
}
"""Network → (name of its files in the package, the outputs that are used: logits where probabilities follow).

- `faceres`: logits of ages 0…99, logit of male, descriptor of 1024.
- `gear`: logits of seven classes of age, logits of (male, female).
- `ssrnet_age`: age in years. `ssrnet_gender`: about 0 for female, 1 for male. `oarriaga`: logits of (female, male).
- `emotion`: logits of angry, disgusted, fearful, happy, sad, surprised, neutral.
- `facemesh`: 468 landmarks (x, y, depth) in pixels of the input, flat.
- `mobileface`: descriptor of 256.

The package's `mobilefacenet` is not among them: it gives any two people all but the same descriptor, in TensorFlow.js
too.
"""


def _convert(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    members = {name: f"package/models/{model}.json" for name, (model, _) in INDEPENDENT_NETWORKS.items()}
    config, arrays = read_graphs(path, members)
    # The names of TensorFlow hold slashes, which a checkpoint would take for folders: numbers instead.
    numbered = {
        name: {f"{index:03}": arrays[name][constant] for index, constant in enumerate(graph["constants"])}
        for name, graph in config["networks"].items()
    }
    return config, numbered


INDEPENDENT_WEIGHTS = PretrainedWeights("independent-networks", HUMAN_MODELS, _convert, layout=2)
"""Of the package human-models (145 MB)."""


def load_independent_networks(
    folder: str | Path | None = None, *, names: Sequence[str] = tuple(INDEPENDENT_NETWORKS)
) -> dict[str, GraphNetwork]:
    """Networks of `INDEPENDENT_NETWORKS`.

    Args:
        folder: a checkpoint folder of kind "independent-networks". None: the one in the cache, which is made first if
            it is missing or damaged (this fetches 145 MB once).
        names: which of them.

    Raises:
        InputError: if a name is unknown.
        DownloadError: if the source cannot be fetched.
        CheckpointError: if `folder` is given and is missing, damaged, or of another kind.
        OutputError: if the cache cannot be written.
    """
    unknown = [name for name in names if name not in INDEPENDENT_NETWORKS]
    if unknown:
        raise InputError(f"names: expected some of {list(INDEPENDENT_NETWORKS)}, got {unknown}")

    def build(config: dict[str, Any], arrays: dict[str, Any]) -> dict[str, GraphNetwork]:
        return {
            name: _network(config["networks"][name], arrays[name], INDEPENDENT_NETWORKS[name][1])
            for name in names
        }

    return INDEPENDENT_WEIGHTS.load(build, folder, damage=(KeyError, InputError))


def load_maps(name: str, nodes: Sequence[str]) -> GraphNetwork:
    """A network of `INDEPENDENT_NETWORKS` whose results are maps of features, for images of any height and width.

    Args:
        name: of the network.
        nodes: of its graph, before height and width are lost.

    Raises:
        DownloadError, OutputError: as `load_independent_networks`.
    """

    def build(config: dict[str, Any], arrays: dict[str, Any]) -> GraphNetwork:
        graph = config["networks"][name]
        free = {**graph, "input_shape": (None, None, graph["input_shape"][2])}
        return _network(free, arrays[name], nodes)

    return INDEPENDENT_WEIGHTS.load(build, damage=(KeyError, InputError))


def _network(graph: dict[str, Any], arrays: dict[str, Any], outputs: Sequence[str]) -> GraphNetwork:
    constants = {constant: arrays[f"{index:03}"] for index, constant in enumerate(graph["constants"])}
    return GraphNetwork(graph, constants, outputs=outputs)
