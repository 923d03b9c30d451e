"""Baselines: other methods of editing latents, implemented from their publications and fitted to the same labels.

Each file has a function `fit(split, generator, **options)` that returns an `EditingMethod`. `METHODS` lists them. An
amount of 1 is an edit of useful size, and a larger amount means more of the attribute.
"""

import functools
from collections.abc import Callable

from benchmarks.baselines import (
    covariance,
    ganspace,
    interfacegan,
    latent_transformer,
    paper,
    ridge_normal,
    sefa,
    whitened,
)
from benchmarks.baselines.storage import load_method, save_method
from benchmarks.baselines.training_labels import TrainingSplit, prepare
from jaxedit.evaluation.methods import EditingMethod

METHODS: dict[str, Callable[..., EditingMethod]] = {
    "interfacegan": interfacegan.fit,
    "interfacegan-conditional": functools.partial(interfacegan.fit, conditional=True),
    "ganspace": ganspace.fit,
    "ganspace-w": functools.partial(ganspace.fit, all_layers=True, name="ganspace-w"),
    "sefa": sefa.fit,
    "ridge-normal": ridge_normal.fit,
    "covariance": covariance.fit,
    "whitened": whitened.fit,
    "latent-transformer": latent_transformer.fit,
    "paper": paper.fit,
}
"""The functions `fit(split, generator, **options)` by the names of the methods."""

__all__ = ["METHODS", "TrainingSplit", "load_method", "prepare", "save_method"]
