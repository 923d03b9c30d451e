"""`evaluate`: editing methods compared at equal change of the target.

When all methods move the target as far, what else does each of them change? The rest of this folder, in the order in
which `evaluate` uses it:

- `config`: what was asked for; `methods`: what is compared; `evaluators`: the networks that read images;
- `protocol`: the stages that a method goes through; `measurement`: rendering and reading; `readings`: the record on
  disk; `scales`: raw values in standard deviations;
- `scores`, `change_rates`, `independent_scores`: computed from readings alone, by `statistics` over faces;
  `code_scores`: DCI, MIG and SAP; `results`: the scores of all methods;
- `report`: the page, its plots and its contact sheets.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxedit.errors import InputError
from jaxedit.evaluation.code_scores import keep_codes
from jaxedit.evaluation.config import EvaluationConfig, EvaluationRequest
from jaxedit.evaluation.evaluators import Evaluators
from jaxedit.evaluation.measurement import Measurement
from jaxedit.evaluation.methods import EditingMethod, check_methods
from jaxedit.evaluation.protocol import EqualChangeProtocol
from jaxedit.evaluation.readings import KIND, UNEDITED, refuse_earlier_version
from jaxedit.evaluation.results import Evaluation
from jaxedit.evaluation.scales import save_scales, scales_of
from jaxedit.evaluation.unit_arrays import unedited_arrays
from jaxedit.generators.protocol import Generator
from jaxedit.latents.seed_stream import fingerprint
from jaxedit.storage.arrays import ArrayOf
from jaxedit.storage.paths import as_path
from jaxedit.storage.runs import RunFolder, is_near

_MUST_AGREE = ("generator", "evaluators", "num_faces")
"""Parts of the request that a resumed evaluation must not change."""


def evaluate(
    generator: Generator,
    methods: Sequence[EditingMethod],
    w: Float[Array | np.ndarray, "num_faces w_dim"],
    evaluators: Evaluators,
    config: EvaluationConfig | None = None,
    *,
    out: str | Path,
    progress: bool = True,
) -> Evaluation:
    """Measure editing methods at equal target change.

    Interrupted evaluations resume when they are started again with the same folder. A method that has changed is
    measured again; the readings of the others stay.

    Args:
        generator: makes the images.
        methods: methods to compare, with names that differ.
        w: latents of W that no method was fitted to, [num_faces, w_dim], two faces or more.
        evaluators: networks that read the images.
        config: settings, by default `EvaluationConfig()`.
        out: folder of the readings and of `evaluation.json`, new or of an evaluation to resume.
        progress: whether to show a bar with the throughput.

    Returns:
        The scores. `Evaluation.load(out)` gives them again without rendering.

    Raises:
        InputError: if names, numbers or shapes do not fit, or the folder holds readings of other faces or networks.
        OutputError: if the folder cannot be written.
    """
    config = EvaluationConfig() if config is None else config
    w = np.asarray(w, np.float32)
    if w.ndim != 2 or len(w) < 2:
        raise InputError(
            f"w: expected latents [num_faces, w_dim] of two faces or more, got shape {list(w.shape)}"
        )
    if not np.isfinite(w).all():
        raise InputError("w: expected finite numbers, got NaN or infinity")
    if w.shape[1] != generator.w_dim:
        raise InputError(
            f"w: expected latents of width {generator.w_dim}, as the generator's, got {w.shape[1]}"
        )
    check_methods(generator, methods)
    request = EvaluationRequest.resolve(config, methods, evaluators, len(w))
    run = _open(as_path(out), request, w)
    by_name = {method.name: method for method in methods}
    tasks = [(by_name[name], target) for name, targets in request.methods.items() for target in targets]
    with tqdm(desc="evaluation", unit="image", disable=not progress, smoothing=0.02) as bar:
        measurement = Measurement(generator, evaluators, w, config.batch_size, bar)
        protocol = EqualChangeProtocol(run, request, config, measurement)
        bar.total = len(w) + sum(protocol.num_images(method, target) for method, target in tasks)
        unedited = protocol.unedited()
        scales = scales_of(evaluators, unedited)
        save_scales(run, scales)
        for method, target in tasks:
            bar.set_postfix_str(f"{method.name}, {target}")
            try:
                protocol.measure(method, target, unedited, scales["values"])
            except InputError as error:
                raise InputError(f"method {method.name!r}, {target}: {error}") from error
        for method in methods:
            keep_codes(run, request, method, w, config.batch_size)
    evaluation = Evaluation.load(run.path)
    evaluation.save()
    return evaluation


def _open(out: Path, request: EvaluationRequest, w: Float[np.ndarray, "num_faces w_dim"]) -> RunFolder:
    """The folder, new or of an evaluation with the same generator, evaluators and faces."""
    refuse_earlier_version(out)
    content = dataclasses.asdict(request)
    # Checked before the folder takes the new request.
    arrays = unedited_arrays(request) | {"when.w": ArrayOf("f", (len(w),), is_finite=True)}
    unedited = RunFolder(out, kind=KIND, request=content).read(UNEDITED, arrays=arrays)
    if unedited is not None and not is_near(unedited["when.w"], fingerprint(w)):
        raise InputError(f"{out}: holds an evaluation on other faces; give another folder")
    may_differ = tuple(name for name in content if name not in _MUST_AGREE)
    return RunFolder.open(out, kind=KIND, request=content, may_differ=may_differ)
