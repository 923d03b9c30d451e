"""The toy generator of the evaluation's tests, for `jaxedit evaluate`."""

from tests.evaluation.conftest import classifier, toy, toy_axes

__all__ = ["classifier", "toy", "toy_axes"]
