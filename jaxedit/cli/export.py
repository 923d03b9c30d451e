"""The command that writes generators and edits for other programs."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaxedit.cli.options import ForceOption
from jaxedit.errors import InputError

if TYPE_CHECKING:
    from jaxedit.axes.attribute_axes import AttributeAxes
    from jaxedit.inversion.encoder import Encoder
    from jaxedit.pretrained.registry import AnyGenerator


class ExportFormat(enum.StrEnum):
    """Format of the folder that `jaxedit export` writes."""

    SAFETENSORS = "safetensors"
    STABLEHLO = "stablehlo"
    ONNX = "onnx"
    AXES = "axes"
    WEB = "web"


class Weights(enum.StrEnum):
    """Precision in which ONNX models keep the weights of the synthesis network."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT16 = "int16"


def export(
    generator: Annotated[str, typer.Argument(help="Known generator, or folder of a converted checkpoint.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the export.")],
    format_: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="safetensors: the weights as open files, which `jaxedit convert` reads again. stablehlo: programs "
            "that JAX runs without this library, also edits. onnx: models for other runtimes, also edits. "
            "axes: the axes alone, in the layout of the Hugging Face hub, with a model card. web: a page that edits "
            "faces in the browser alone; `jaxedit web FOLDER` serves it.",
        ),
    ] = ExportFormat.SAFETENSORS,
    axes: Annotated[
        str | None,
        typer.Option(
            help="Axes whose edits are exported, too: folder of `jaxedit learn`, or none. Default: those that ship "
            "with the generator."
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Of onnx and web: encoder of photographs to export, too: a known generator, whose encoder ships, or "
            "a folder of `jaxedit train-encoder`. Default: none."
        ),
    ] = None,
    force: ForceOption = False,
    weights: Annotated[
        Weights | None,
        typer.Option(
            help="Of onnx: int16 halves the file and keeps images within 1/255; float16 halves it, too, within 7/255. "
            "Arithmetic stays in float32. Default: float32."
        ),
    ] = None,
) -> None:
    """Write a generator and its edits for other programs.

    \b
    Examples:
      jaxedit export mobile-stylegan-ffhq --out open                            config.json and model.safetensors
      jaxedit convert open --out again                                          back to a checkpoint
      jaxedit export mobile-stylegan-ffhq --format stablehlo --out programs     programs for JAX, with the axes
      jaxedit export ffhq --axes axes --format stablehlo --out programs         a converted generator and its axes
      jaxedit export mobile-stylegan-ffhq --format axes --out shared            axes to share
      jaxedit export mobile-stylegan-ffhq --format web --out page               sliders in the browser alone
      jaxedit export ffhq --format onnx --weights int16 --out models            small models for other runtimes
    """
    from jaxedit.pretrained.conversion import export_generator
    from jaxedit.pretrained.known_generators import KNOWN_GENERATORS
    from jaxedit.pretrained.registry import load_generator

    if weights is not None and format_ != ExportFormat.ONNX:
        raise InputError(f"--weights: expected with --format onnx, got it with --format {format_}")
    if encoder is not None and format_ not in (ExportFormat.ONNX, ExportFormat.WEB):
        raise InputError(f"--encoder: expected with --format onnx or web, got it with --format {format_}")
    if format_ == ExportFormat.SAFETENSORS:
        if axes is not None or force:
            option = "--axes" if axes is not None else "--force"
            raise InputError(f"{option}: expected with --format stablehlo or onnx, got it with safetensors")
        print(export_generator(load_generator(generator), out))
        print(out)
        return
    from jaxedit.export.contents import check_generator
    from jaxedit.export.onnx_models import export_onnx
    from jaxedit.export.stablehlo import export_stablehlo
    from jaxedit.pretrained.encoders import load_encoder
    from jaxedit.pretrained.hub_folder import save_pretrained
    from jaxedit.pretrained.model_card import CardDetails
    from jaxedit.storage.atomic import check_free

    check_free(out)
    model = load_generator(generator)
    if format_ != ExportFormat.AXES:
        check_generator(model)
    known = KNOWN_GENERATORS.get(generator)
    note = None if known is None else known.license_note
    chosen = _axes(axes, generator, model, is_checked=not force)
    if format_ == ExportFormat.AXES:
        if chosen is None:
            raise InputError(f"--axes: expected the folder of axes of {generator}, got none")
        labeled = known.labels_note if known is not None and axes is None else None
        details = CardDetails(license_note=note, labeled=labeled, generator=generator)
        print(save_pretrained(chosen, out, details))
        return
    found = None if encoder is None else load_encoder(encoder, model)
    if format_ == ExportFormat.WEB:
        _page(model, chosen, found, out, note)
        return
    if format_ == ExportFormat.ONNX:
        kept = Weights.FLOAT32 if weights is None else weights
        described = export_onnx(model, out, axes=chosen, encoder=found, weights=kept.value, license_note=note)
        parts = described["models"]
    else:
        parts = export_stablehlo(model, out, axes=chosen, license_note=note)["programs"]
    for name, about in parts.items():
        arguments = ", ".join(f"{one['name']} {one['shape']}" for one in about["arguments"])
        result = about["result"]
        print(f"{name}: {arguments} -> {result['name']} {result['shape']}".replace("'", ""))
    print(out)


def _page(
    model: "AnyGenerator",
    axes: "AttributeAxes | None",
    encoder: "Encoder | None",
    out: Path,
    license_note: str | None,
) -> None:
    from jaxedit.export.web.page import export_web

    if axes is None:
        raise InputError("--axes: expected axes for the sliders of the page, got none")
    files = export_web(model, out, axes=axes, encoder=encoder, license_note=license_note)["files"]
    for part in ("models", "runtime"):
        size = sum(about["bytes"] for name, about in files.items() if name.startswith(f"{part}/"))
        print(f"{part}: {size / 1e6:.1f} MB")
    print(f"{out}: `jaxedit web {out}` serves it")


def _axes(
    axes: str | None, generator: str, model: "AnyGenerator", *, is_checked: bool
) -> "AttributeAxes | None":
    """The axes to export: those given, none, or the shipped axes of a known generator."""
    from jaxedit.pretrained.known_generators import KNOWN_GENERATORS
    from jaxedit.pretrained.registry import load_axes

    if axes == "none" or (axes is None and generator not in KNOWN_GENERATORS):
        return None
    return load_axes(generator if axes is None else axes, model, check=is_checked)
