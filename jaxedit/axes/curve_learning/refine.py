"""Axes refined through images: axes in W in, axes with a curve for each layer of W+ out."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from jaxedit.attributes.classifier import AttributeClassifier, network_identity
from jaxedit.attributes.user_classifier import check_classifier
from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.axes.curve_learning.calibration import DEFAULT_ENDS
from jaxedit.axes.curve_learning.config import RefinementConfig, default_groups
from jaxedit.axes.curve_learning.descent import Curve, of_sides, stretched
from jaxedit.axes.curve_learning.full_images import Calibrated, calibrate, correct_far, taken_apart
from jaxedit.axes.curve_learning.image_reader import ImageReader, Network, RefinementNetworks
from jaxedit.axes.curve_learning.loss import EditModel
from jaxedit.axes.curve_learning.refinement import Refinement
from jaxedit.axes.curve_learning.regression import regress
from jaxedit.axes.curve_learning.stages import check_gradients, descend, read_moments, read_unedited
from jaxedit.axes.layer_curves import LayerCurves, pseudo_huber
from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator, weights_fingerprint
from jaxedit.latents.renders import cheap_render
from jaxedit.latents.seed_stream import sample_z
from jaxedit.parallel import check_batch, processes_of
from jaxedit.storage.runs import RunFolder

RUN_KIND = "refinement"
"""Kind of the run folder."""

_TRUNCATION = 0.7
_MAPPED_AT_ONCE = 4096


def refine_axes(
    generator: Generator,
    axes: AttributeAxes,
    classifier: AttributeClassifier,
    config: RefinementConfig | None = None,
    *,
    networks: RefinementNetworks | None = None,
    out: str | Path | None = None,
    mesh: Mesh | None = None,
    progress: bool = True,
) -> AttributeAxes:
    """Refine axes through images: learn a curve for each group of layers of W+, so that edits leak less.

    Images are rendered, read by the networks, and differentiated; no labeled dataset is needed. Positions and codes
    stay those of the axes; edits move along the curves. Tangents and curvatures are learned by descent, then calibrated
    in full images; the slope of edits beyond the ends of an axis is measured unless the config gives it. An attribute
    that is not refined keeps the curve that it has, or moves all layers alike, as in W.

    Args:
        generator: of any number of layers.
        axes: of this generator's W; those of `load_axes(…, check=False)` are taken for any that shares its W.
        classifier: differentiable in the image, with all attributes of the axes; see `RefinementConfig.method` for
            others.
        config: settings; by default `RefinementConfig()`: 640 images of each attribute, hours on two CPU cores.
        networks: identity and independent networks, and a cheaper render.
        out: folder of the run. A run that was interrupted resumes when it is started again with the same arguments,
            and ends with the same result. None keeps nothing.
        mesh: over whose devices of this process batches are divided (see `data_mesh`).
        progress: whether to show bars.

    Returns:
        The axes with `curves`. The same seeds give the same curves on the same machine.

    Raises:
        InputError: if generator, axes, classifier, networks and settings do not fit together, the classifier is not
            differentiable, or `out` holds another run.
        OutputError: if `out` cannot be written.

    Examples:
        >>> import jaxedit
        >>> generator, axes = jaxedit.load_generator("my-generator"), jaxedit.load_axes("my-axes")  # doctest: +SKIP
        >>> refined = jaxedit.refine_axes(generator, axes, Colors(), out="my-refinement")  # doctest: +SKIP
    """
    config = RefinementConfig() if config is None else config
    networks = RefinementNetworks() if networks is None else networks
    groups = _checked(generator, axes, config, mesh)
    reader = ImageReader.of(axes, classifier, networks)
    check_classifier(classifier, generator)
    for network in networks.independent:
        check_classifier(network, generator, may_describe=True)
    with tempfile.TemporaryDirectory() as temporary:
        request = _request(generator, axes, classifier, networks, config)
        run = RunFolder.open(
            temporary if out is None else out,
            kind=RUN_KIND,
            request=request,
            may_differ=("batch_size", "gradient_batch_size"),
        )
        targets = config.attributes or tuple(axes.attribute_names)
        refinement = Refinement(
            generator=generator,
            axes=axes,
            config=config,
            loss=config.loss,
            model=EditModel(_render(generator, networks), reader, axes.pca, jnp.asarray(groups)),
            w=draw_latents(generator, config),
            num_classified=len(tuple(classifier.names)),
            columns=(*axes.attribute_names, *networks.independent_names()),
            targets=tuple(name for name in targets if name not in config.in_layers),
            held=tuple(axes.attribute_names) if config.held is None else config.held,
            run=run,
            mesh=mesh,
            progress=progress,
        )
        calibrated, shapes = Calibrated({}, {}, {}), _shapes(refinement, targets)
        if refinement.targets:
            calibrated = correct_far(refinement, calibrate(refinement, _learn(refinement)))
        if len(shapes) > 1 and config.num_calibrations:
            shapes = taken_apart(refinement, shapes)
    calibrated = dataclasses.replace(calibrated, curves=_upward_in_w(refinement, calibrated.curves))
    curves = _curves(refinement, calibrated, shapes)
    return dataclasses.replace(axes, curves=curves, ranges=None, generator_fingerprint=request["generator"])


def _shapes(refinement: Refinement, targets: Sequence[str]) -> dict[str, Curve]:
    """Of each attribute of shape, the path of its axis in W, in the groups of some layers alone, by its gains."""
    layers = refinement.config.in_layers
    paths = _curves_in_w(refinement, [name for name in targets if name in layers])
    return {
        name: _by_gains(refinement, name, _within(refinement, path, layers[name]))
        for name, path in paths.items()
    }


def _upward_in_w(refinement: Refinement, curves: dict[str, Curve]) -> dict[str, Curve]:
    """Learned curves, some of which follow their axes' paths in W upwards."""
    layers = {name: some for name, some in refinement.config.upward_in_layers.items() if name in curves}
    paths = _curves_in_w(refinement, list(layers))
    ups = {name: _within(refinement, path, layers[name]) for name, path in paths.items()}
    return {name: of_sides(curve, ups[name]) if name in ups else curve for name, curve in curves.items()}


def _by_gains(refinement: Refinement, name: str, curve: Curve) -> Curve:
    """A curve as long as the config wants it."""
    return stretched(curve, *refinement.config.gains.get(name, (1.0, 1.0)))


def _within(refinement: Refinement, curve: Curve, layers: tuple[int, int]) -> Curve:
    """A curve that moves the groups of some layers alone."""
    group_of_layer = np.asarray(refinement.model.group_of_layer)
    inside = (np.arange(len(group_of_layer)) >= layers[0]) & (np.arange(len(group_of_layer)) < layers[1])
    moved = np.array([inside[group_of_layer == g].all() for g in range(len(curve[0]))])[:, None]
    return curve[0] * moved, curve[1] * moved


def _learn(refinement: Refinement) -> dict[str, Curve]:
    """The curves before calibration."""
    if refinement.config.method == "regression":
        # Descriptors have no gradient here: they take no part.
        reader = dataclasses.replace(refinement.reader, identity=())
        loss = dataclasses.replace(refinement.loss, identity=())
        model = dataclasses.replace(refinement.model, reader=reader)
        refinement = dataclasses.replace(refinement, model=model, loss=loss)
        return regress(refinement, read_unedited(refinement)[0])
    check_gradients(refinement)
    model, unedited = read_unedited(refinement)
    sizes = [descriptor.shape[1] for descriptor in unedited[1]]
    given = refinement.loss.identity
    if len(sizes) > len(given):
        raise InputError(
            f"loss.identity: expected a weight for each of {len(sizes)} descriptors, got {len(given)}"
        )
    loss = dataclasses.replace(refinement.loss, identity=given[: len(sizes)])
    refinement = dataclasses.replace(refinement, loss=loss)
    moments = read_moments(refinement, model, sizes)
    curves = descend(refinement, model, unedited, moments)
    within = refinement.config.within_layers
    return {n: _within(refinement, c, within[n]) if n in within else c for n, c in curves.items()}


def _checked(
    generator: Generator, axes: AttributeAxes, config: RefinementConfig, mesh: Mesh | None
) -> tuple[int, ...]:
    """The groups of layers; raises unless everything fits together."""
    axes.check_generator(generator)
    unknown = sorted(config.names() - set(axes.attribute_names))
    if unknown:
        raise InputError(
            f"config: expected attributes of the axes, {', '.join(axes.attribute_names)}; got {unknown[0]!r}"
        )
    targets = axes.attribute_names if config.attributes is None else config.attributes
    if not targets or len(set(targets)) < len(targets):
        raise InputError(f"attributes: expected one or more, each once, got {list(targets)}")
    keeps_curves = axes.curves is not None and set(targets) != set(axes.attribute_names)
    kept = tuple(int(g) for g in np.asarray(axes.curves.group_of_layer)) if keeps_curves else None  # type: ignore[union-attr]
    groups = config.groups or kept or default_groups(generator.num_ws)
    if len(groups) != generator.num_ws or set(groups) != set(range(max(groups) + 1)):
        raise InputError(
            f"groups: expected the group of each of {generator.num_ws} layers, numbered from 0, got {list(groups)}"
        )
    for name, (first, end) in config.layers():
        if end > len(groups) or any(
            len({first <= i < end for i, g in enumerate(groups) if g == group}) > 1 for group in set(groups)
        ):
            raise InputError(
                f"layers of {name!r}: expected whole groups of the {len(groups)} layers {list(groups)}, got "
                f"{first}, {end}"
            )
    if config.continued and axes.curves is None:
        raise InputError(
            f"continued: expected axes with curves, got none to go on from for {config.continued[0]!r}"
        )
    if kept is not None and kept != groups:
        raise InputError(
            f"groups: expected those of the curves that the axes keep, {list(kept)}, got {list(groups)}"
        )
    if mesh is not None:
        if processes_of(mesh) > 1:
            raise InputError("mesh: expected devices of this process alone")
        check_batch("batch_size", config.batch_size, mesh)
    return groups


def _request(
    generator: Generator,
    axes: AttributeAxes,
    classifier: AttributeClassifier,
    networks: RefinementNetworks,
    config: RefinementConfig,
) -> dict[str, Any]:
    """All on which the stages depend."""
    parts = (axes.pca, axes.quantile_transform, axes.autoencoder)
    return {
        **config.as_dict(),
        "generator": weights_fingerprint(generator),
        "axes": weights_fingerprint(parts),
        "attribute_names": axes.attribute_names,
        "classifier": network_identity(classifier),
        "independent": [network_identity(network) for network in networks.independent],
        "identity_networks": [network_identity(network) for network in networks.identity],
        "render": None if networks.render is None else network_identity(networks.render),
        "curves": None if axes.curves is None else weights_fingerprint(axes.curves),
    }


def draw_latents(generator: Generator, config: RefinementConfig) -> Float[np.ndarray, "num_latents w_dim"]:
    """Latents of the seed stream; every second one is truncated to ψ = 0.7, where edits are most often made."""
    parts = []
    for start in range(0, config.num_latents, _MAPPED_AT_ONCE):
        count = min(_MAPPED_AT_ONCE, config.num_latents - start)
        z = jnp.asarray(sample_z(config.latent_seed, count, generator.z_dim, start=start))
        full, truncated = generator.mapping(z), generator.mapping(z, truncation_psi=_TRUNCATION)
        is_full = (np.arange(start, start + count) % 2 == 0)[:, None]
        parts.append(np.where(is_full, np.asarray(full), np.asarray(truncated)).astype(np.float32))
    return np.concatenate(parts)


def _render(generator: Generator, networks: RefinementNetworks) -> Network:
    """What images are learned through."""
    if networks.render is not None:
        return networks.render
    return cheap_render(generator)


def _curves(refinement: Refinement, calibrated: Calibrated, shapes: dict[str, Curve]) -> LayerCurves:
    """The curves of all attributes: learned ones, those that the axes had, and straight ones as in W."""
    config = refinement.config
    axes, had = refinement.axes, refinement.axes.curves
    straight = [] if had is not None else [*axes.attribute_names]
    in_w = _curves_in_w(refinement, [n for n in straight if n not in calibrated.curves and n not in shapes])
    rows: list[tuple[Any, Any, Any, Any]] = []
    for index, name in enumerate(axes.attribute_names):
        if name in calibrated.curves:
            curve = _by_gains(refinement, name, calibrated.curves[name])
            rows.append((*curve, calibrated.ends[name], calibrated.slopes[name]))
        elif name in shapes:
            limits, slope = config.ends.get(name, DEFAULT_ENDS), config.slopes.get(name, 1.0)
            rows.append((*shapes[name], limits, slope))
        elif had is not None:
            rows.append((had.tangents[index], had.curvatures[index], had.ends[index], had.slopes[index]))
        else:
            rows.append((*in_w[name], DEFAULT_ENDS, 1.0))
    tangents, curvatures, ends, slopes = (
        jnp.asarray(np.stack([np.asarray(row[i], np.float32) for row in rows])) for i in range(4)
    )
    return LayerCurves(tangents, curvatures, ends, slopes, refinement.model.group_of_layer)


def _curves_in_w(refinement: Refinement, names: Sequence[str]) -> dict[str, Curve]:
    """The mean paths of the decoder along some axes, each for all groups alike."""
    if not names:
        return {}
    axes, phi = refinement.axes, float(pseudo_huber(jnp.float32(1.0)))
    codes = axes.encode(refinement.w)
    start, scale = axes.autoencoder.decode(codes), np.asarray(axes.pca.whitened_scale)
    found = {}
    for name in names:
        index = axes.attribute_names.index(name)
        down, up = (
            np.asarray(axes.autoencoder.decode(codes.at[:, index].add(side)) - start, np.float64).mean(0)
            / scale
            for side in (-1.0, 1.0)
        )
        groups = (refinement.shape[0], 1)
        found[name] = np.tile((up - down) / 2, groups), np.tile((up + down) / (2 * phi), groups)
    return found
