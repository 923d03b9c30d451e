"""GANSpace: for each attribute, the principal component of W with the largest correlation, in a range of layers.

Härkönen, Hertzmann, Lehtinen and Paris, *GANSpace: Discovering Interpretable GAN Controls*, NeurIPS 2020. With V the
principal components of W, an edit moves only the latents of the layers l₀ ≤ l < l₁:

    w⁺[l] ← w⁺[l] + a σⱼ vⱼ

The authors choose component j (of the first 80) and layers by eye. Here, j is the component whose coordinate has the
largest |correlation| with the label. Its sign is chosen so that a larger amount means more of the attribute. The layers
are those of the most similar edit that the authors published (`PUBLISHED_LAYERS`).
"""

from benchmarks.baselines.training_labels import TrainingSplit, in_layers, largest_correlation, scaled
from jaxedit.errors import InputError
from jaxedit.evaluation.methods import LinearDirections
from jaxedit.generators.protocol import Generator

PUBLISHED_LAYERS = {
    "age": range(4, 7),  # "happy old lady"
    "gender": range(2, 6),  # "gender" (StyleGAN)
    "smile": range(3, 6),  # "wide smile"
    "eyeglasses": range(0, 2),  # "glasses" (StyleGAN)
    "yaw": range(0, 7),  # "pose" (StyleGAN)
    "pitch": range(1, 4),  # "head angle up"
    "mouth_opening": range(3, 7),  # "screaming"
    "eye_opening": range(4, 10),  # "fearful eyes"
    "brow_height": range(3, 6),  # "in awe"
    "face_width": range(0, 5),  # "face roundness"
    "skin_lightness": range(8, 9),  # "sunlight in face"
    "skin_redness": range(8, 9),
    "skin_yellowness": range(8, 9),
    "light_from_right": range(8, 9),  # "light left to right"
    "hair_lightness": range(7, 10),  # "white hair"
    "hair_warmth": range(7, 10),
    "fringe": range(4, 5),  # "straight bowl cut"
    "lip_redness": range(10, 11),  # "lipstick"
    "background_lightness": range(8, 9),  # "bright background"
    "background_warmth": range(8, 9),
}
"""Layers of the authors' edits of StyleGAN2 FFHQ (of StyleGAN FFHQ where noted), both with 18 layers."""


def layers_for(attribute: str, num_ws: int) -> range:
    """The published layers of an attribute, or all layers if there are none.

    Layers 2i + 1 and 2i + 2 act at resolution 8 · 2^i in StyleGAN2 and MobileStyleGAN of any size. Layer numbers are
    therefore valid for all of them, and ranges are cut at the last layer.

    Args:
        attribute: name of the attribute.
        num_ws: number of layers of the generator.
    """
    published = PUBLISHED_LAYERS.get(attribute, range(num_ws))
    stop = min(published.stop, num_ws)
    return range(min(published.start, stop - 1), stop)


def fit(
    split: TrainingSplit,
    generator: Generator,
    *,
    num_components: int = 80,
    all_layers: bool = False,
    name: str = "ganspace",
) -> LinearDirections:
    """Directions of all attributes.

    Args:
        split: training data.
        generator: generator, for its number of layers.
        num_components: number of components to choose from.
        all_layers: whether to move all layers (W) instead of the published ones (W+).
        name: name of the method.

    Raises:
        InputError: if `num_components` is out of range.
    """
    if not 1 <= num_components <= split.pca.w_dim:
        raise InputError(f"num_components: expected 1…{split.pca.w_dim}, got {num_components}")
    coordinates = split.pca.transform(split.w)[:, :num_components]
    best, _ = largest_correlation(coordinates, split.labels)
    directions = scaled(split.pca.components[best], split.probes)
    names = split.attribute_names
    if all_layers:
        return LinearDirections(name, names, directions)
    layers = {attribute: layers_for(attribute, generator.num_ws) for attribute in names}
    return LinearDirections(name, names, in_layers(directions, names, layers, generator.num_ws))
