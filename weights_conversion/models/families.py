"""Families of generators that an export can hold, with the config and the arrays of each."""

from collections.abc import Callable, Mapping
from typing import Any

from weights_conversion.errors import ConversionError
from weights_conversion.formats.safe_pickle import describe
from weights_conversion.models import mobile_stylegan
from weights_conversion.models.stylegan2 import layout
from weights_conversion.models.stylegan3 import layout as stylegan3_layout
from weights_conversion.table import flatten

_Shapes = dict[str, tuple[int, ...]]

_STYLEGAN2_KEYS = {
    *("family", "z_dim", "c_dim", "w_dim", "mapping_layers"),
    *("resolution", "channels", "architecture", "conv_clamp"),
}

_STYLEGAN2_OPTIONAL = {"image_channels", "constant_size"}


def check_generator(config: Mapping[str, Any], params: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """Check that config and arrays are a generator of a known family.

    Args:
        config: the config, which holds the `family`.
        params: nested dict of arrays, of NumPy or alike.
        name: what to call the source in an error.

    Returns:
        The params, every array contiguous and float32.

    Raises:
        ConversionError: if the family is unknown, the config is not one of the family, or an array is missing,
            unexpected, of another shape or type, or not finite.
    """
    family = config.get("family")
    if not isinstance(family, str) or family not in _FAMILIES:
        raise ConversionError(
            f"{name}: expected a family of {', '.join(_FAMILIES)}, found {describe(family)}"
        )
    shapes = _FAMILIES[family](config, flatten(params), name)
    return layout.check_params(params, shapes, name=name)


def _check_keys(config: Mapping[str, Any], keys: set[str], name: str) -> None:
    if different := sorted(config.keys() ^ keys):
        raise ConversionError(
            f"{name}: expected a config of {', '.join(sorted(keys))}; {describe(different[0])} differs"
        )
    if any(isinstance(value, str) and not value.isprintable() for value in config.values()):
        raise ConversionError(f"{name}: expected a config of printable text, found other characters in it")
    if not isinstance(config["channels"], list | tuple) or not config["channels"]:
        raise ConversionError(f"{name}: expected channels as a list, found {describe(config['channels'])}")


def _stylegan2_shapes(config: Mapping[str, Any], arrays: Mapping[str, Any], name: str) -> _Shapes:
    _check_keys(config, _STYLEGAN2_KEYS | (config.keys() & _STYLEGAN2_OPTIONAL), name)
    layout.check_config(config, name=name)

    def width(layer: str) -> int:
        """Outputs of a layer. The config does not hold them; a missing or odd array fails its own check later."""
        weight = arrays.get(f"mapping_network.{layer}.weight")
        return weight.shape[1] if weight is not None and weight.ndim == 2 else config["w_dim"]

    hidden = [width(f"layers.{i}") for i in range(config["mapping_layers"] - 1)]
    return layout.target_shapes(config, embed=width("embed"), hidden=hidden)


def _stylegan3_shapes(config: Mapping[str, Any], arrays: Mapping[str, Any], name: str) -> _Shapes:
    _check_keys(config, set(stylegan3_layout.KEYS), name)
    stylegan3_layout.check_config(config, name=name)

    def size(key: str, axis: int, rank: int, otherwise: int) -> int:
        """A size that the config does not hold; a missing or odd array fails its own check later."""
        array = arrays.get(key)
        return array.shape[axis] if array is not None and array.ndim == rank else otherwise

    w_dim = config["w_dim"]
    hidden = range(config["mapping_layers"] - 1)
    return stylegan3_layout.target_shapes(
        config,
        embed=size("mapping_network.embed.weight", 1, 2, w_dim),
        hidden=[size(f"mapping_network.layers.{i}.weight", 1, 2, w_dim) for i in hidden],
        ranks=[size(f"layers.{i}.down_filter", 0, 3, 1) for i in range(len(config["channels"]))],
    )


def _mobile_stylegan_shapes(config: Mapping[str, Any], _: Mapping[str, Any], name: str) -> _Shapes:
    _check_keys(config, set(mobile_stylegan.CONFIG), name)
    mobile_stylegan.check_mobile_config(config, name=name)
    return mobile_stylegan.mobile_shapes(config)


_FAMILIES: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any], str], _Shapes]] = {
    "stylegan2": _stylegan2_shapes,
    "stylegan3": _stylegan3_shapes,
    "mobile-stylegan": _mobile_stylegan_shapes,
}
