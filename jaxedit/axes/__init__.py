"""Labeled latents to attribute axes, and axes to edits. The names load on first use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxedit.axes.attribute_axes import AttributeAxes
    from jaxedit.axes.config import AxesConfig
    from jaxedit.axes.learning.learn import learn_axes, learn_axes_sweep
    from jaxedit.axes.report import AxesReport
    from jaxedit.latents.pca import PCA, fit_pca, fit_pca_streamed

_MODULE_OF_NAME = {
    "PCA": "jaxedit.latents.pca",
    "AttributeAxes": "jaxedit.axes.attribute_axes",
    "AxesConfig": "jaxedit.axes.config",
    "AxesReport": "jaxedit.axes.report",
    "fit_pca": "jaxedit.latents.pca",
    "fit_pca_streamed": "jaxedit.latents.pca",
    "learn_axes": "jaxedit.axes.learning.learn",
    "learn_axes_sweep": "jaxedit.axes.learning.learn",
}

__all__ = [
    "PCA",
    "AttributeAxes",
    "AxesConfig",
    "AxesReport",
    "fit_pca",
    "fit_pca_streamed",
    "learn_axes",
    "learn_axes_sweep",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF_NAME[name]), name)
