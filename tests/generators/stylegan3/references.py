"""Small random StyleGAN3 generators of the original implementation, and what it computed."""

import functools
import json
from typing import Any

import numpy as np

from jaxedit.generators.stylegan3 import StyleGAN3, StyleGAN3Config
from tests.conftest import FIXTURES

NAMES = ("stylegan3_t_32", "stylegan3_r_64")


@functools.cache
def read_reference(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Options of the generator, parameters by their official names, inputs and outputs."""
    with np.load(FIXTURES / f"{name}.npz") as file:
        arrays = {key.removeprefix("param."): file[key] for key in file.files if key.startswith("param.")}
        out = {key.removeprefix("out."): file[key] for key in file.files if key.startswith("out.")}
        return json.loads(str(file["meta"])), arrays, out


def from_config(config: dict[str, Any], params: dict[str, Any], **options: Any) -> StyleGAN3:
    """The generator of a converted file."""
    shape = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items() if k != "family"}
    return StyleGAN3(StyleGAN3Config(**shape), params, **options)


def relative(ours: Any, reference: Any) -> float:
    """‖ours − reference‖ / ‖reference‖."""
    return float(np.linalg.norm(np.asarray(ours) - reference) / np.linalg.norm(reference))
