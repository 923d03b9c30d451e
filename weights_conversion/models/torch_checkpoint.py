"""Generators in files of `torch.save`: whole networks, state dicts, and checkpoints of trainings that hold either."""

from pathlib import Path
from typing import Any

from weights_conversion.errors import ConversionError
from weights_conversion.formats.foreign_file import read_source
from weights_conversion.formats.torch_file import is_torch_file, load_torch
from weights_conversion.formats.torch_tensor import Allowance
from weights_conversion.models.conversion import Conversion, Loader, Options
from weights_conversion.models.mobile_stylegan_checkpoint import convert_mobile_checkpoint
from weights_conversion.models.official_pickle import convert_networks
from weights_conversion.models.state_dicts import Found, find_state
from weights_conversion.models.stylegan2 import rosinality
from weights_conversion.models.stylegan2.official import MODULE_CONSTRUCTORS, has_modules
from weights_conversion.models.stylegan2.plain_state import convert_plain_state
from weights_conversion.models.stylegan3 import state_dict as stylegan3

DESCRIPTIONS = {
    "modules": "file of torch.save with a whole generator of StyleGAN2 or StyleGAN3 for PyTorch",
    "rosinality": "checkpoint of stylegan2-pytorch",
    "decoder": "checkpoint of an encoder with a generator of stylegan2-pytorch",
    "basicsr": "checkpoint of BasicSR with a StyleGAN2",
    "official": "state dict of StyleGAN2 for PyTorch",
    "stylegan3": "state dict of StyleGAN3",
    "mobile-stylegan": "checkpoint of MobileStyleGAN",
}

_CONSTRUCTORS = {
    **MODULE_CONSTRUCTORS,
    "argparse.Namespace": rosinality.Ignored,
    "addict.addict.Dict": dict,
    "pathlib.PosixPath": rosinality.Ignored,
    **dict.fromkeys(
        f"{package}.callbacks.model_checkpoint.ModelCheckpoint"
        for package in ("pytorch_lightning", "lightning.pytorch")
    ),
}


def convert_torch_checkpoint(source: str | Path | bytes, options: Options | None = None) -> Conversion:
    """Read the generator in a file of `torch.save`.

    Args:
        source: path of the file, or its content.
        options: what a plain state dict does not hold.

    Raises:
        ConversionError: if the file is damaged, asks for anything but networks and arrays, or holds no known generator.
    """
    data, name = read_source(source)
    if not is_torch_file(data):
        raise ConversionError(f"{name}: expected a file of torch.save, found another format")
    checkpoint = load_torch(data, constructors=_CONSTRUCTORS, name=name)
    allowance = Allowance(len(data), name=name)
    if has_modules(checkpoint):
        config, params = convert_networks(checkpoint, allowance, name=name)
        return Conversion(DESCRIPTIONS["modules"], config, params)
    found = find_state(checkpoint, name=name)
    return convert_state(found, checkpoint, allowance.array, options or Options(), name=name)


def convert_state(found: Found, checkpoint: Any, load: Loader, options: Options, *, name: str) -> Conversion:
    """Convert a state dict by the reader of its kind.

    Args:
        found: the state dict.
        checkpoint: what it lay in.
        load: from a tensor and its name to the array.
        options: what a plain state dict does not hold.
        name: what to call the file in an error.

    Raises:
        ConversionError: if the reader refuses it.
    """
    if found.kind == "official":
        return Conversion(DESCRIPTIONS["official"], *convert_plain_state(found, load, options, name=name))
    if found.kind == "stylegan3":
        return Conversion(
            DESCRIPTIONS[found.kind], *stylegan3.convert_plain_state(found, load, options, name=name)
        )
    if found.kind == "mobile-stylegan":
        return Conversion(DESCRIPTIONS[found.kind], *convert_mobile_checkpoint(found, load, name=name))
    latent_avg = rosinality.latent_avg_of(checkpoint, found)
    converted = rosinality.convert_found(found, latent_avg, load, name=name)
    return Conversion(DESCRIPTIONS["decoder" if "decoder." in found.prefix else found.kind], *converted)
