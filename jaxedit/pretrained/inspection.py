"""Descriptions of the installation, the cache, and folders, as text for people."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.report import AxesReport
from jaxedit.environment import devices, versions
from jaxedit.errors import CheckpointError, InputError
from jaxedit.labels.labeling import LABELS_FILE
from jaxedit.labels.labels_file import load_labels
from jaxedit.pretrained.known_generators import KNOWN_GENERATORS
from jaxedit.pretrained.registry import load_axes
from jaxedit.storage.checkpoints import read_metadata
from jaxedit.storage.download import cache_dir
from jaxedit.storage.paths import as_path


def describe_installation() -> str:
    """Versions, devices, known generators, and the cache with the sizes of its entries."""
    lines = [f"{name:18}{version}" for name, version in versions().items()]
    lines += ["", f"{'devices':18}{', '.join(devices())}", f"{'generators':18}{', '.join(KNOWN_GENERATORS)}"]
    cache = cache_dir()
    lines += [f"{'cache':18}{cache}"]
    kept = [entry for part in ("sources", "weights") for entry in sorted((cache / part).glob("[!.]*"))]
    lines += [f"  {_megabytes(entry):7.1f} MB  {entry.relative_to(cache)}" for entry in kept] or ["  (empty)"]
    return "\n".join(lines)


def describe(what: str) -> str:
    """The contents of a known generator or a folder (labels, axes, any checkpoint of this library).

    Raises:
        InputError: if there is no such generator or folder.
        CheckpointError: if the folder is a damaged or newer checkpoint.
    """
    if what in KNOWN_GENERATORS:
        known = KNOWN_GENERATORS[what]
        lines = [
            f"generator {what}",
            f"source: {known.source.name} {known.source.version}, {known.source.megabytes} MB",
            known.license_note,
            "",
        ]
        return "\n".join(lines) + describe_axes(load_axes(what))
    folder = as_path(what)
    labels = folder / LABELS_FILE if folder.is_dir() else folder
    if labels.is_file() and labels.suffix == ".npz":
        return _describe_labels(labels)
    if not folder.exists():
        raise InputError(
            f"'{what}': expected {', '.join(KNOWN_GENERATORS)} or a folder of labels, axes or weights, found nothing"
        )
    metadata = read_metadata(folder)
    written = ", ".join(f"{name} {version}" for name, version in metadata["versions"].items())
    lines = [f"{metadata['kind']}, written by {written}", f"size: {_megabytes(folder):.1f} MB"]
    if metadata["kind"] == "axes":
        return "\n".join([*lines, "", describe_axes(AttributeAxes.load(folder))])
    if not isinstance(metadata["config"], dict):
        raise CheckpointError(f"{folder}: damaged: its config is not a table of names")
    lines += [f"{name}: {value}" for name, value in metadata["config"].items()]
    return "\n".join(lines)


def describe_axes(axes: AttributeAxes) -> str:
    """Number of axes, each attribute with its numbers, and the means."""
    lines = [f"{axes.pca.num_components} axes, of which {axes.num_attributes} are attributes:", ""]
    table = describe_attributes(axes.attribute_names, axes.attribute_units, axes.report)
    if axes.ranges is not None:
        usable = [axes.range(name) for name in axes.attribute_names]
        texts = ["–" if pair is None else f"{pair[0]:+g} … {pair[1]:+g}".replace("-", "−") for pair in usable]
        table = [f"{line}{text:>16}" for line, text in zip(table, ("usable range", *texts), strict=True)]
    lines += table
    summary = axes.report.summary()
    lines += ["", "means on latents that were held out:"]
    lines += [f"  {name.replace('_', ' '):28}{value:.4g}" for name, value in summary.items()]
    return "\n".join(lines)


def describe_attributes(names: Sequence[str], units: Sequence[str], report: AxesReport) -> list[str]:
    """A table: each attribute with its unit, the correlation of its axis with its label, and the leakage; where labels
    are missing, also the number of held-out labels that are known."""
    lines = [f"  {'attribute':24}{'unit':14}{'correlation':>11}{'leakage':>9}"]
    correlations, leakages = np.asarray(report.axis_label_correlation), np.asarray(report.leakage)
    for name, unit, correlation, leakage in zip(names, units, correlations, leakages, strict=True):
        lines.append(f"  {name:24}{unit:14}{correlation:11.2f}{leakage:9.2f}")
    known = None if report.known_labels is None else np.asarray(report.known_labels)
    if (
        known is not None and (known < known.max()).any()
    ):  # the correlations are over unlike numbers of labels
        lines = [
            f"{line}{text:>14}" for line, text in zip(lines, ("known labels", *map(str, known)), strict=True)
        ]
    return lines


def _describe_labels(path: Path) -> str:
    labels = load_labels(path)
    lines = [f"labels of {len(labels.values)} faces of {labels.generator}, seed {labels.seed}:", ""]
    lines += [f"  {'attribute':24}{'unit':14}{'5 %':>9}{'median':>9}{'95 %':>9}"]
    missing = np.isnan(labels.values).sum(0)
    if missing.any():
        lines[-1] += f"{'missing':>9}"
    for i, (name, unit) in enumerate(zip(labels.attribute_names, labels.attribute_units, strict=True)):
        known = labels.values[~np.isnan(labels.values[:, i]), i]
        row = np.quantile(known, (0.05, 0.5, 0.95)) if len(known) else np.full(3, np.nan)
        line = f"  {name:24}{unit:14}" + "".join(f"{value:9.2f}" for value in row)
        lines.append(line + (f"{missing[i]:9d}" if missing.any() else ""))
    return "\n".join(lines)


def _megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
