"""Arrays of modules: their types, and their form in checkpoints."""

from collections.abc import Mapping
from typing import Any

from flax import nnx

Params = Mapping[str, Any]
"""Nested dict of arrays, as a conversion or a checkpoint gives it."""


class Buffer(nnx.Variable):
    """An array that belongs to a model and is not trained: fixed noise, the mean of W."""


def module_params(module: nnx.Module) -> dict[str, Any]:
    """The arrays of a module as a nested dict with string keys: what constructors take and checkpoints keep."""

    def with_string_keys(tree: Any) -> Any:
        return (
            {str(key): with_string_keys(value) for key, value in tree.items()}
            if isinstance(tree, dict)
            else tree
        )

    return with_string_keys(nnx.to_pure_dict(nnx.state(module)))
