"""Writes the HDF5 files of flaxmodels from parameters under the names of StyleGAN2 for PyTorch."""

import io
from collections.abc import Mapping

import h5py
import numpy as np


def flaxmodels_arrays(params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Path in the file → array, from `mapping.*` and `synthesis.*`. The architecture must be "skip"."""
    arrays = {}
    for name, array in params.items():
        network, *parts, leaf = name.split(".")
        if leaf == "resample_filter":
            continue
        if network == "mapping":
            group = "mapping_network/" + "/".join(parts).replace("embed", "label_embedding")
            arrays[f"{group}/{leaf}".replace("//", "/")] = array.T if leaf == "weight" else array
            continue
        size, *layer = parts
        block = f"synthesis_network/block_{size[1:]}x{size[1:]}"
        if leaf == "const":
            arrays["synthesis_network/const"] = array.transpose(1, 2, 0)[None]
            continue
        conv = layer[0]
        group = f"{block}/{ {'torgb': 'torgb', 'conv0': 'layer0'}.get(conv, 'layer0' if size == 'b4' else 'layer1') }"
        if layer[-1] == "affine":
            # the layer itself adds the 1 around which styles lie
            arrays[f"{group}/affine/{leaf}"] = array.T if leaf == "weight" else array - np.float32(1)
        elif leaf == "weight":
            hwio = array.transpose(2, 3, 1, 0)
            arrays[f"{group}/conv/weight"] = hwio[::-1, ::-1] if conv == "conv0" else hwio
        elif leaf == "bias":
            arrays[f"{group}/conv/bias"] = array
        elif leaf == "noise_const":
            arrays[f"{group}/noise_const"] = array[None, :, :, None]
        else:
            arrays[f"{group}/{leaf}"] = array
    return arrays


def write_h5(arrays: Mapping[str, np.ndarray], **options: object) -> bytes:
    """The content of an HDF5 file that holds these arrays."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, array in arrays.items():
            file.create_dataset(path, data=array, **options)
    return buffer.getvalue()
