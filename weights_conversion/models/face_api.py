"""The face networks of the npm package `@vladmandic/face-api` (MIT), from its tarball.

The package ships each network as a weights manifest of TensorFlow.js (`*-weights_manifest.json`) and one `.bin`. The
arrays have the layouts of TensorFlow (HWIO filters), so the transforms only drop axes of length one.
"""

from pathlib import Path
from typing import Any

import numpy as np

from weights_conversion.errors import ConversionError
from weights_conversion.formats.tfjs_package import model_errors, read_models, read_weights
from weights_conversion.table import Row, convert


def _drop_multiplier(array: np.ndarray) -> np.ndarray:
    """Depthwise filters [height, width, channels, 1] → [height, width, channels]."""
    return array[..., 0]


def _drop_window(array: np.ndarray) -> np.ndarray:
    """1×1 filters [1, 1, channels_in, channels_out] → [channels_in, channels_out]."""
    return array[0, 0]


def _conv(source: str, target: str, size: int, channels_in: int, channels: int) -> list[Row]:
    return [
        Row(f"{source}/filters", f"{target}.filters", (size, size, channels_in, channels)),
        Row(f"{source}/bias", f"{target}.bias", (channels,)),
    ]


def _separable(source: str, target: str, channels_in: int, channels: int) -> list[Row]:
    depthwise, pointwise = f"{source}/depthwise_filter", f"{source}/pointwise_filter"
    return [
        Row(depthwise, f"{target}.depthwise", (3, 3, channels_in), _drop_multiplier),
        Row(pointwise, f"{target}.pointwise", (channels_in, channels), _drop_window),
        Row(f"{source}/bias", f"{target}.bias", (channels,)),
    ]


def _linear(source: str, target: str, features_in: int, features: int) -> list[Row]:
    return [
        Row(f"{source}/weights", f"{target}.weights", (features_in, features)),
        Row(f"{source}/bias", f"{target}.bias", (features,)),
    ]


def _scaled_conv(source: str, target: str, size: int, channels_in: int, channels: int) -> list[Row]:
    return [
        *_conv(f"{source}/conv", target, size, channels_in, channels),
        Row(f"{source}/scale/weights", f"{target}.scale", (channels,)),
        Row(f"{source}/scale/biases", f"{target}.shift", (channels,)),
    ]


def _dense_blocks() -> list[Row]:
    rows = [*_conv("dense0/conv0", "dense0.conv0", 3, 3, 32)]
    for block, channels in enumerate((32, 64, 128, 256)):
        if block > 0:
            rows += _separable(f"dense{block}/conv0", f"dense{block}.conv0", channels // 2, channels)
        for layer in (1, 2, 3):
            rows += _separable(f"dense{block}/conv{layer}", f"dense{block}.conv{layer}", channels, channels)
    return rows


def _xception() -> list[Row]:
    rows = _conv("entry_flow/conv_in", "conv_in", 3, 3, 32)
    for source, target, before, after in (
        ("entry_flow/reduction_block_0", "reduction0", 32, 64),
        ("entry_flow/reduction_block_1", "reduction1", 64, 128),
        ("exit_flow/reduction_block", "reduction2", 128, 256),
    ):
        filters, bias = f"{source}/expansion_conv/filters", f"{source}/expansion_conv/bias"
        rows += _separable(f"{source}/separable_conv0", f"{target}.conv0", before, after)
        rows += _separable(f"{source}/separable_conv1", f"{target}.conv1", after, after)
        rows += [
            Row(filters, f"{target}.expansion.weights", (before, after), _drop_window),
            Row(bias, f"{target}.expansion.bias", (after,)),
        ]
    for block in (0, 1):
        for layer in (0, 1, 2):
            source = f"middle_flow/main_block_{block}/separable_conv{layer}"
            rows += _separable(source, f"main{block}.conv{layer}", 128, 128)
    return rows + _separable("exit_flow/separable_conv", "conv_out", 256, 512)


RESIDUAL_BLOCKS = {
    **{"conv32_1": (32, 32), "conv32_2": (32, 32), "conv32_3": (32, 32)},
    **{"conv64_down": (32, 64), "conv64_1": (64, 64), "conv64_2": (64, 64), "conv64_3": (64, 64)},
    **{"conv128_down": (64, 128), "conv128_1": (128, 128), "conv128_2": (128, 128)},
    **{"conv256_down": (128, 256), "conv256_1": (256, 256), "conv256_2": (256, 256)},
    "conv256_down_out": (256, 256),
}
"""The residual blocks of the identity network in the order of the data → channels (in, out)."""


def _resnet() -> list[Row]:
    rows = _scaled_conv("conv32_down", "conv_in", 7, 3, 32)
    for block, (before, after) in RESIDUAL_BLOCKS.items():
        rows += _scaled_conv(f"{block}/conv1", f"{block}.conv1", 3, before, after)
        rows += _scaled_conv(f"{block}/conv2", f"{block}.conv2", 3, after, after)
    return [*rows, Row("fc", "head.weights", (256, 128))]


def _detector() -> list[Row]:
    rows = _conv("conv0", "conv0", 3, 3, 16)
    for layer, channels in enumerate((32, 64, 128, 256, 512), start=1):
        rows += _separable(f"conv{layer}", f"conv{layer}", channels // 2, channels)
    # Five anchors × (x, y, width, height, score); 6 and 7 exist in the larger network of the same family alone.
    return [
        *rows,
        Row("conv8/filters", "head.weights", (512, 25), _drop_window),
        Row("conv8/bias", "head.bias", (25,)),
    ]


TABLES: dict[str, tuple[str, list[Row]]] = {
    "age_gender": (
        "age_gender_model",
        [*_xception(), *_linear("fc/age", "age", 512, 1), *_linear("fc/gender", "gender", 512, 2)],
    ),
    "expressions": ("face_expression_model", [*_dense_blocks(), *_linear("fc", "head", 256, 7)]),
    "landmarks": ("face_landmark_68_model", [*_dense_blocks(), *_linear("fc", "head", 256, 136)]),
    "identity": ("face_recognition_model", _resnet()),
    "detector": ("tiny_face_detector_model", _detector()),
}
"""Network → (name of its files in the package, table)."""


def convert_face_api(tarball: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the networks from the package's tarball.

    Args:
        tarball: what `npm pack @vladmandic/face-api@1.7.15` makes.

    Returns:
        A JSON-serializable config (`package`, `version`, `mean_rgb` in 0…255, `expressions` and `genders`:
        the names of the outputs, `detector`: its own `mean_rgb`, and `anchors`, width and height in cells of
        its grid), and `{network: nested dict of arrays}` under the target names of `TABLES`.

    Raises:
        ConversionError: if the file is damaged, or its tensors are not those of the tables.
    """
    members = {files: f"package/model/{files}-weights_manifest.json" for files, _ in TABLES.values()}
    identity, models = read_models(tarball, members, manifest=lambda manifest: manifest)
    arrays = {}
    with model_errors(tarball):
        for network, (files, rows) in TABLES.items():
            manifest, data = models[files]
            arrays[network] = _convert(read_weights(manifest, data, name=files), rows, files=files)
    config = {
        **identity,
        "mean_rgb": [122.782, 117.001, 104.298],
        "expressions": ["neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"],
        "genders": ["male", "female"],
        "detector": {
            "mean_rgb": [117.001, 114.697, 97.404],
            "anchors": [
                [1.603231, 2.094468],
                [6.041143, 7.080126],
                [2.882459, 3.518061],
                [4.266906, 5.178857],
                [9.041765, 10.66308],
            ],
        },
    }
    return config, arrays


def _convert(tensors: dict[str, np.ndarray], rows: list[Row], *, files: str) -> dict[str, Any]:
    unknown = sorted(tensors.keys() - {row.source for row in rows})
    if unknown:
        raise ConversionError(f"{files}: expected the tensors of its table alone, found also {unknown}")
    return convert(tensors, rows, name=files)
