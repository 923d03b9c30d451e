"""The published axes, learned by jaxedit with the recipe of the paper (`AxesConfig.paper()`, k = 60).

Lesné, Gousseau, Ladjal and Newson, *A Compact and Semantic Latent Space for Disentangled and Controllable Image
Editing*, CVMP 2023. The paper trains 150 epochs on a large dataset. With a few thousand labels, these are only a few
thousand steps.
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
    """Axes of all attributes.

    Args:
        split: training data. `learn_axes` splits its dataset again by the configuration, by default in the same way.
        generator: not used.
        config: settings of the training, by default `AxesConfig.paper()`.
        num_components: k.
        checkpoint_dir: folder of the training state, from which an interrupted training resumes.
        progress: whether to show a progress bar.
        name: name of the method.

    Raises:
        InputError: if dataset, k and settings do not fit together.
        CheckpointError: if `checkpoint_dir` holds another training.
        JaxeditError: if the training diverges.
    """
    pca = split.pca.with_num_components(num_components)
    config = AxesConfig.paper() if config is None else config
    axes = learn_axes(split.dataset, pca, config, checkpoint_dir=checkpoint_dir, progress=progress)
    return AxesMethod(name, axes)
