"""Generators and edits as StableHLO programs, which JAX runs without this library.

A folder holds the serialized programs (`jax.export`), the weights that they take as their first argument, and
`programs.json`, which says what each takes and returns. The batch size is symbolic: each program runs for any. The
programs are lowered for CPU, CUDA and TPU; where this library computes differently on a CPU, both ways are inside.

The weights are arguments, since they serve several programs, and since XLA would otherwise spend minutes on folding
constants.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export
from jaxtyping import Array

from jaxedit._version import __version__
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.editing import Edit, apply_edit
from jaxedit.errors import InputError
from jaxedit.export.contents import (
    check_generator,
    describe_attributes,
)
from jaxedit.export.extras import require
from jaxedit.generators.mapping import MappedGenerator, truncate
from jaxedit.nn.platform_branch import for_every_platform
from jaxedit.storage.atomic import check_free, check_nothing_there, whole_folder

FORMAT = "jaxedit-stablehlo"
FORMAT_VERSION = 1
"""Raised whenever what reads older exports could not read newer ones."""

PROGRAMS_FILE = "programs.json"
WEIGHTS_FILE = "weights.npz"
PLATFORMS = ("cpu", "cuda", "tpu")

_BATCH = "batch"
_MAPPING_PARTS = ("mapping_network", "w_avg")
_MEANINGS = {
    "z": "input latents, N(0, I)",
    "c": "one-hot classes",
    "truncation_psi": "1 leaves w as it is, 0 gives the mean of W",
    "w": "latents of W",
    "w_plus": "latents of W+, one for each layer",
    "amounts": "amount of each attribute in standard deviations, in the order of `attributes`",
    "which": "the attributes to edit; the amounts of the others are not used",
    "image": "RGB, nominally in [-1, 1]; clip it",
}

Shape = tuple[int | str, ...]
"""Lengths; the batch by its name."""
Weights = Mapping[str, Any]
"""Arrays by name."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A program to export.

    Attributes:
        function: of the weights and the arguments; it works under `jax.jit` for any batch size.
        weights: the arrays that it takes, by name.
        arguments: shape and dtype of each, by name, in their order.
        result: name of the result.
    """

    function: Callable[..., Array]
    weights: Weights
    arguments: Mapping[str, tuple[Shape, Any]]
    result: str


def export_stablehlo(
    generator: Any,
    folder: str | Path,
    *,
    axes: AttributeAxes | None = None,
    platforms: Sequence[str] = PLATFORMS,
    license_note: str | None = None,
) -> dict[str, Any]:
    """Write a generator, and edits along axes, as programs that need JAX and NumPy alone.

    The programs are `mapping`, `synthesis` and `synthesis_w_plus`; with axes also `edit` and `edit_w_plus`, which edit
    latents and draw the edited image as one program. Edits follow the axes' own path (`AttributeAxes.path`).

    Args:
        generator: of `load_generator`, with all its classes.
        folder: where to: a free name or an empty folder.
        axes: of the generator's latents. Whether they are of this generator, `load_axes` has checked.
        platforms: of JAX, for which the programs are lowered.
        license_note: the licence of the weights, in words.

    Returns:
        The content of `programs.json`.

    Raises:
        InputError: if the generator has its class chosen or is none of this library, the axes have another width or
            another number of layers, JAX does not know a platform, or the package flatbuffers is missing.
        OutputError: if the folder is not empty or cannot be written.
    """
    generator = check_generator(generator)
    if axes is not None:
        axes.check_shape(generator)
    unknown = [name for name in platforms if name not in ("cpu", "cuda", "rocm", "tpu")]
    if unknown or not platforms:
        raise InputError(
            f"platforms: expected some of cpu, cuda, rocm, tpu, got {', '.join(unknown) or 'none'}"
        )
    require("flatbuffers", extra="stablehlo", use="export of StableHLO")
    check_free(folder)
    programs = programs_of(generator, axes)
    described: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "versions": {"jaxedit": __version__, "jax": jax.__version__},
        "calling_convention_version": 0,
        "platforms": list(platforms),
        "generator": json.loads(json.dumps(generator.describe())),
        "weights": WEIGHTS_FILE,
        "license": license_note,
        "attributes": [] if axes is None else describe_attributes(axes),
        "programs": {},
    }
    with whole_folder(folder, check=check_nothing_there) as temporary:
        weights: dict[str, np.ndarray] = {}
        for name, program in programs.items():
            exported = lower(program, platforms)
            described["calling_convention_version"] = exported.calling_convention_version
            described["programs"][name] = _describe(program, exported, f"{name}.bin")
            (temporary / f"{name}.bin").write_bytes(exported.serialize())
            weights |= {key: np.asarray(array) for key, array in program.weights.items()}
        np.savez(temporary / WEIGHTS_FILE, **weights)  # type: ignore[arg-type]
        (temporary / PROGRAMS_FILE).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    return described


def programs_of(generator: MappedGenerator, axes: AttributeAxes | None) -> dict[str, Program]:
    """The programs of a generator and its axes, by name."""
    arrays, make = _named("generator", generator)
    is_mapping = {name: name.split("/")[1] in _MAPPING_PARTS for name in arrays}
    own = {name: array for name, array in arrays.items() if not is_mapping[name]}
    w: Shape = (_BATCH, generator.w_dim)
    w_plus: Shape = (_BATCH, generator.num_ws, generator.w_dim)
    # The mapping network is not used there; its shapes rebuild the generator.
    unused = {name: np.zeros((), np.float32) for name, array in arrays.items() if is_mapping[name]}

    def synthesis(weights: Weights, latents: Array) -> Array:
        return make({**unused, **weights}).synthesis(latents)

    programs = {
        "mapping": _mapping(generator),
        "synthesis": Program(synthesis, own, {"w": (w, jnp.float32)}, "image"),
        "synthesis_w_plus": Program(synthesis, own, {"w_plus": (w_plus, jnp.float32)}, "image"),
    }
    if axes is None:
        return programs
    of_axes, make_axes = _named("axes", (axes.path(), axes.quantile_transform))

    def edit(weights: Weights, latents: Array, amounts: Array, which: Array) -> Array:
        path, transform = make_axes(weights)
        return synthesis(
            {name: weights[name] for name in own},
            apply_edit(path, transform, Edit(amounts, which), latents),
        )

    count = axes.num_attributes
    more = {"amounts": ((_BATCH, count), jnp.float32), "which": ((count,), jnp.bool_)}
    return programs | {
        "edit": Program(edit, own | of_axes, {"w": (w, jnp.float32), **more}, "image"),
        "edit_w_plus": Program(edit, own | of_axes, {"w_plus": (w_plus, jnp.float32), **more}, "image"),
    }


def _mapping(generator: MappedGenerator) -> Program:
    arrays, make = _named("generator", (generator.mapping_network, generator.w_avg))
    num_ws = generator.num_ws

    def mapping(weights: Weights, z: Array, *others: Array) -> Array:
        network, w_avg = make(weights)
        *classes, psi = others
        return truncate(network(z, *classes), w_avg[...], psi=psi, cutoff=None, num_ws=num_ws)

    arguments: dict[str, tuple[Shape, Any]] = {"z": ((_BATCH, generator.z_dim), jnp.float32)}
    if generator.c_dim:
        arguments["c"] = ((_BATCH, generator.c_dim), jnp.float32)
    arguments["truncation_psi"] = ((), jnp.float32)
    return Program(mapping, arrays, arguments, "w")


def _named(prefix: str, model: Any) -> tuple[dict[str, Any], Callable[[Weights], Any]]:
    """The arrays of a pytree by name, and the function that rebuilds it of such arrays."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(model)
    names = [
        f"{prefix}/{jax.tree_util.keystr(path, simple=True, separator='/')}".removesuffix("/value")
        for path, _ in leaves
    ]
    assert len(set(names)) == len(names)

    def make(arrays: Weights) -> Any:
        return jax.tree_util.tree_unflatten(structure, [arrays[name] for name in names])

    return {name: leaf for name, (_, leaf) in zip(names, leaves, strict=True)}, make


def lower(program: Program, platforms: Sequence[str] = PLATFORMS) -> jax_export.Exported:
    """The program for every platform, its batch size symbolic."""
    (batch,) = jax_export.symbolic_shape(_BATCH)
    weights = {
        name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in program.weights.items()
    }
    arguments = [
        jax.ShapeDtypeStruct(tuple(batch if length == _BATCH else length for length in shape), dtype)
        for shape, dtype in program.arguments.values()
    ]
    with for_every_platform():
        return jax_export.export(jax.jit(program.function), platforms=platforms)(weights, *arguments)


def _describe(program: Program, exported: jax_export.Exported, file: str) -> dict[str, Any]:
    (result,) = exported.out_avals
    return {
        "file": file,
        "arguments": [
            {"name": name, "shape": list(shape), "dtype": jnp.dtype(dtype).name, "meaning": _MEANINGS[name]}
            for name, (shape, dtype) in program.arguments.items()
        ],
        "result": {
            "name": program.result,
            "shape": [length if isinstance(length, int) else str(length) for length in result.shape],
            "dtype": result.dtype.name,
            "meaning": _MEANINGS[program.result],
        },
        "weights": list(program.weights),
    }
