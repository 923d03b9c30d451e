"""Edits images along labeled, decorrelated axes of a pretrained StyleGAN.

Start with `load_generator`, `load_axes` and `AttributeAxes.edit`. To learn axes of your own: `load_labelled_latents`
(or `label`), `fit_pca`, `learn_axes`. To edit photographs: `align`, `project`.

The names below are loaded when they are first used, so that `import jaxedit` takes no time.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxedit._version import __version__

if TYPE_CHECKING:
    from jaxedit import evaluation as evaluation
    from jaxedit import parallel as parallel
    from jaxedit.attributes.classifier import AttributeClassifier
    from jaxedit.attributes.joined import join_classifiers
    from jaxedit.attributes.learned.classifier import LearnedClassifier
    from jaxedit.attributes.person.background import keep_background
    from jaxedit.attributes.person.mask import PersonMask
    from jaxedit.attributes.person.places import FacePlaces
    from jaxedit.axes.attribute_axes import AttributeAxes
    from jaxedit.axes.config import AxesConfig
    from jaxedit.axes.curve_learning.config import RefinementConfig
    from jaxedit.axes.curve_learning.image_reader import RefinementNetworks
    from jaxedit.axes.curve_learning.refine import refine_axes
    from jaxedit.axes.in_places import edit_in_places
    from jaxedit.axes.learning.learn import learn_axes, learn_axes_sweep
    from jaxedit.axes.report import AxesReport
    from jaxedit.errors import CheckpointError, DownloadError, InputError, JaxeditError, OutputError
    from jaxedit.generators.in_places import synthesis_in_places
    from jaxedit.generators.protocol import Generator
    from jaxedit.images import save_image, to_uint8
    from jaxedit.inversion.align import align
    from jaxedit.inversion.config import ProjectionConfig, TuningConfig
    from jaxedit.inversion.encoder import Encoder
    from jaxedit.inversion.encoder_config import EncoderTrainingConfig
    from jaxedit.inversion.encoder_training import train_encoder
    from jaxedit.inversion.paste import PastedPhoto, paste_back
    from jaxedit.inversion.project import ProjectionResult, project
    from jaxedit.inversion.projection_problem import LatentPrior
    from jaxedit.inversion.tuning import GeneratorDelta, tune
    from jaxedit.labels.annotations import Annotations
    from jaxedit.labels.classifier_learning import ClassifierConfig, learn_classifier
    from jaxedit.labels.config import LabelingConfig
    from jaxedit.labels.dataset import LabelledLatents, join_latents
    from jaxedit.labels.labeling import label
    from jaxedit.labels.marked_images import MarkedImages
    from jaxedit.latents.pca import PCA, fit_pca, fit_pca_streamed
    from jaxedit.parallel import data_mesh, gather, over_batch, replicate, shard_batch
    from jaxedit.pretrained.annotations import load_annotations
    from jaxedit.pretrained.encoders import load_encoder
    from jaxedit.pretrained.hub import from_pretrained, push_to_hub
    from jaxedit.pretrained.hub_folder import save_pretrained
    from jaxedit.pretrained.marked_images import load_marked_images
    from jaxedit.pretrained.model_card import CardDetails
    from jaxedit.pretrained.registry import (
        load_axes,
        load_generator,
        load_labelled_latents,
        save_generator,
    )

_MODULE_OF_NAME = {
    "Annotations": "labels.annotations",
    "AttributeAxes": "axes.attribute_axes",
    "AttributeClassifier": "attributes.classifier",
    "AxesConfig": "axes.config",
    "AxesReport": "axes.report",
    "CardDetails": "pretrained.model_card",
    "CheckpointError": "errors",
    "ClassifierConfig": "labels.classifier_learning",
    "DownloadError": "errors",
    "Encoder": "inversion.encoder",
    "EncoderTrainingConfig": "inversion.encoder_config",
    "FacePlaces": "attributes.person.places",
    "Generator": "generators.protocol",
    "GeneratorDelta": "inversion.tuning",
    "InputError": "errors",
    "JaxeditError": "errors",
    "LabelingConfig": "labels.config",
    "LabelledLatents": "labels.dataset",
    "LatentPrior": "inversion.projection_problem",
    "LearnedClassifier": "attributes.learned.classifier",
    "MarkedImages": "labels.marked_images",
    "OutputError": "errors",
    "PCA": "latents.pca",
    "PastedPhoto": "inversion.paste",
    "PersonMask": "attributes.person.mask",
    "ProjectionConfig": "inversion.config",
    "ProjectionResult": "inversion.project",
    "RefinementConfig": "axes.curve_learning.config",
    "RefinementNetworks": "axes.curve_learning.image_reader",
    "TuningConfig": "inversion.config",
    "align": "inversion.align",
    "data_mesh": "parallel",
    "edit_in_places": "axes.in_places",
    "fit_pca": "latents.pca",
    "fit_pca_streamed": "latents.pca",
    "from_pretrained": "pretrained.hub",
    "gather": "parallel",
    "join_classifiers": "attributes.joined",
    "join_latents": "labels.dataset",
    "keep_background": "attributes.person.background",
    "label": "labels.labeling",
    "learn_axes": "axes.learning.learn",
    "learn_axes_sweep": "axes.learning.learn",
    "learn_classifier": "labels.classifier_learning",
    "load_annotations": "pretrained.annotations",
    "load_axes": "pretrained.registry",
    "load_encoder": "pretrained.encoders",
    "load_generator": "pretrained.registry",
    "load_labelled_latents": "pretrained.registry",
    "load_marked_images": "pretrained.marked_images",
    "over_batch": "parallel",
    "paste_back": "inversion.paste",
    "project": "inversion.project",
    "push_to_hub": "pretrained.hub",
    "refine_axes": "axes.curve_learning.refine",
    "replicate": "parallel",
    "save_generator": "pretrained.registry",
    "save_image": "images",
    "save_pretrained": "pretrained.hub_folder",
    "shard_batch": "parallel",
    "synthesis_in_places": "generators.in_places",
    "to_uint8": "images",
    "train_encoder": "inversion.encoder_training",
    "tune": "inversion.tuning",
}
_SUBMODULES = ("evaluation", "parallel")

__all__ = [
    "PCA",
    "Annotations",
    "AttributeAxes",
    "AttributeClassifier",
    "AxesConfig",
    "AxesReport",
    "CardDetails",
    "CheckpointError",
    "ClassifierConfig",
    "DownloadError",
    "Encoder",
    "EncoderTrainingConfig",
    "FacePlaces",
    "Generator",
    "GeneratorDelta",
    "InputError",
    "JaxeditError",
    "LabelingConfig",
    "LabelledLatents",
    "LatentPrior",
    "LearnedClassifier",
    "MarkedImages",
    "OutputError",
    "PastedPhoto",
    "PersonMask",
    "ProjectionConfig",
    "ProjectionResult",
    "RefinementConfig",
    "RefinementNetworks",
    "TuningConfig",
    "__version__",
    "align",
    "data_mesh",
    "edit_in_places",
    "fit_pca",
    "fit_pca_streamed",
    "from_pretrained",
    "gather",
    "join_classifiers",
    "join_latents",
    "keep_background",
    "label",
    "learn_axes",
    "learn_axes_sweep",
    "learn_classifier",
    "load_annotations",
    "load_axes",
    "load_encoder",
    "load_generator",
    "load_labelled_latents",
    "load_marked_images",
    "over_batch",
    "paste_back",
    "project",
    "push_to_hub",
    "refine_axes",
    "replicate",
    "save_generator",
    "save_image",
    "save_pretrained",
    "shard_batch",
    "synthesis_in_places",
    "to_uint8",
    "train_encoder",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"jaxedit.{name}")
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module 'jaxedit' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"jaxedit.{_MODULE_OF_NAME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF_NAME, *_SUBMODULES})
