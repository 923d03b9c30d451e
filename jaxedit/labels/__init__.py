"""Generator × classifier → labeled latents."""

from jaxedit.labels.config import LabelingConfig
from jaxedit.labels.dataset import LabelledLatents
from jaxedit.labels.labeling import label
from jaxedit.labels.labels_file import Labels, load_labels, save_labels
from jaxedit.labels.quantile_transform import QuantileTransform, fit_quantile_transform
from jaxedit.labels.selection import predictable_attributes, ridge_correlations

__all__ = [
    "LabelingConfig",
    "LabelledLatents",
    "Labels",
    "QuantileTransform",
    "fit_quantile_transform",
    "label",
    "load_labels",
    "predictable_attributes",
    "ridge_correlations",
    "save_labels",
]
