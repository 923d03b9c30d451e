"""The published axes: Lesné, Gousseau, Ladjal and Newson, *A Compact and Semantic Latent Space for Disentangled and
Controllable Image Editing*, CVMP 2023, by this library and with the recipe of the paper (`AxesConfig.paper()`, k = 60).

Its 150 epochs belong to a large dataset: on a few thousand labels they are a few thousand steps.
"""

from pathlib import Path

from benchmarks.baselines.training_labels import TrainingSplit
from jaxedit.axes import AxesConfig, learn_axes
from jaxedit.evaluation.methods import AxesMethod
from jaxedit.generators.protocol import Generator


def fit(
    split: TrainingSplit,
    generator: Generator,
    *,
    config: AxesConfig | None = None,
    num_components: int = 60,
    checkpoint_dir: str | Path | None = None,
    progress: bool = False,
    name: str = "paper",
) -> AxesMethod:
    """Axes for all attributes.

    Args:
        split: its dataset is split by the configuration, which by default comes to the same.
        generator: not used.
        config: by default `AxesConfig.paper()`.
        num_components: k.
        checkpoint_dir: where the state of a training is kept that may be stopped.
        progress: whether to show a bar.
        name: of the method.

    Raises:
        InputError: if dataset, k and settings do not fit together.
        CheckpointError: if `checkpoint_dir` holds another training.
        JaxeditError: if the training diverges.
    """
    pca = split.pca.with_num_components(num_components)
    config = AxesConfig.paper() if config is None else config
    axes = learn_axes(split.dataset, pca, config, checkpoint_dir=checkpoint_dir, progress=progress)
    return AxesMethod(name, axes)
