"""Edits images along labelled, decorrelated axes of a pretrained StyleGAN.

The way in: `load_generator`, `load_axes`, `AttributeAxes.edit`; to learn axes of your own: `load_labelled_latents` (or
`label`), `fit_pca`, `learn_axes`; to edit photographs: `align`, `project`.
"""

from jaxedit._version import __version__
from jaxedit.attributes import AttributeClassifier, LabelledLatents, label
from jaxedit.axes import (
    PCA,
    AttributeAxes,
    AxesConfig,
    AxesReport,
    fit_pca,
    fit_pca_streamed,
    learn_axes,
    learn_axes_sweep,
)
from jaxedit.errors import CheckpointError, DownloadError, InputError, JaxeditError, OutputError
from jaxedit.generators import Generator
from jaxedit.images import save_image, to_uint8
from jaxedit.parallel import data_mesh, gather, over_batch, replicate, shard_batch
from jaxedit.pretrained import load_axes, load_generator, load_labelled_latents, save_generator
from jaxedit.projection.align import align
from jaxedit.projection.config import ProjectionConfig, TuningConfig
from jaxedit.projection.project import ProjectionResult, project
from jaxedit.projection.tuning import GeneratorDelta, tune

__all__ = [
    "PCA",
    "AttributeAxes",
    "AttributeClassifier",
    "AxesConfig",
    "AxesReport",
    "CheckpointError",
    "DownloadError",
    "Generator",
    "GeneratorDelta",
    "InputError",
    "JaxeditError",
    "LabelledLatents",
    "OutputError",
    "ProjectionConfig",
    "ProjectionResult",
    "TuningConfig",
    "__version__",
    "align",
    "data_mesh",
    "fit_pca",
    "fit_pca_streamed",
    "gather",
    "label",
    "learn_axes",
    "learn_axes_sweep",
    "load_axes",
    "load_generator",
    "load_labelled_latents",
    "over_batch",
    "project",
    "replicate",
    "save_generator",
    "save_image",
    "shard_batch",
    "to_uint8",
    "tune",
]
