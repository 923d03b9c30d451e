"""PCA of W, the axis autoencoder, its losses and its training: from labelled latents to attribute axes."""

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.config import AxesConfig
from jaxedit.axes.learning.learn import learn_axes, learn_axes_sweep
from jaxedit.axes.report import AxesReport
from jaxedit.latents.pca import PCA, fit_pca, fit_pca_streamed

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
