"""What the arrays of each unit of an evaluation must be: a unit of others counts as damaged, and is measured again."""

from collections.abc import Sequence

from jaxedit.evaluation.config import EvaluationRequest
from jaxedit.storage.arrays import ArrayOf

Arrays = dict[str, ArrayOf]


def unedited_arrays(request: EvaluationRequest) -> Arrays:
    """Readings of the unedited faces, with their descriptors."""
    descriptors = {
        f"descriptor.{name}": _numbers(request.num_faces, f"width of {name}")
        for name in request.identity_networks
    }
    return {
        key: _numbers(request.num_faces, columns) for key, columns in _columns(request).items()
    } | descriptors


def stage_arrays(
    request: EvaluationRequest, num_amounts: int | None, faces: int, *, has_positions: bool = False
) -> Arrays:
    """Readings of edited faces.

    Args:
        request: what was asked for.
        num_amounts: of the stage; None for any number.
        faces: number of faces.
        has_positions: whether the stage has positions on the slider.
    """
    amounts: int | str = "amounts" if num_amounts is None else num_amounts
    distances = [f"identity.{name}" for name in request.identity_networks]
    distances += ["perceptual"] if request.has_perceptual else []
    distances += request.background_keys
    return (
        {key: _numbers(amounts, faces, columns) for key, columns in _columns(request).items()}
        | {key: _numbers(amounts, faces) for key in distances}
        | {key: _numbers(amounts) for key in ("amounts", *(["positions"] if has_positions else []))}
    )


def scale_arrays(request: EvaluationRequest, fields: Sequence[str]) -> Arrays:
    """The tables of the scales, each [columns, knots]."""
    return {
        f"{key}/{field}": _numbers(columns, f"knots of {key}")
        for key, columns in _columns(request).items()
        for field in fields
    }


def image_arrays(num_amounts: int | None, faces: int | str) -> Arrays:
    """Small images of edited faces, [amounts, faces, side, side, 3]; with None those of unedited ones, [faces, …]."""
    if num_amounts is None:
        return {"images": ArrayOf("u", (faces, "side", "side", 3))}
    return {
        "images": ArrayOf("u", (num_amounts, faces, "side", "side", 3)),
        "positions": _numbers(num_amounts),
    }


def _columns(request: EvaluationRequest) -> dict[str, int]:
    """Number of columns of each network that measures attributes, by the key of its readings."""
    independent = request.independent_attributes
    return {"values": len(request.measured)} | {
        f"independent.{name}": len(names) for name, names in independent.items()
    }


def _numbers(*shape: int | str) -> ArrayOf:
    return ArrayOf("f", shape, is_finite=True)
