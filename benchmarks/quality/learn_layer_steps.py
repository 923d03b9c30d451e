"""The curves of the default axes, learnt through images.

    python -m benchmarks.quality.learn_layer_steps --out curves
    python -m benchmarks.quality.learn_layer_steps --out small --faces 8 --derivatives 3 --images 4 \\
        --calibration-faces 2 --attributes age,smile

1. Small images of some faces are rendered as they are and read by all networks.
2. Derivatives of what the networks read, at some of them: the metric of the descent, and the first steps.
3. Stochastic descent, one attribute after the other in turns: edit, render, read, and down the gradient.
4. What the curves do in full images, by the labeling networks; they are mixed so that each changes its attribute
   by one and the others that are held by none on average, to either side.

The result is OUT/steps.npz, which `jaxedit.axes.layer_curves.load_layer_curves` reads. A run that is stopped goes on
where it was and ends with the same result.
"""

import dataclasses
import io
import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer
from flax import nnx
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxedit.attributes.classifier import as_argument
from jaxedit.attributes.faces.face_attributes import FACE_ATTRIBUTES, FaceAttributes, FaceIdentity
from jaxedit.attributes.independent.classifiers import FaceResReading
from jaxedit.axes.curve_learning.image_loss import (
    ColumnWeights,
    Curve,
    ImageLossConfig,
    Moments,
    calibrated,
    column_weights,
    derivatives,
    gradient,
)
from jaxedit.axes.layer_curves import LayerCurves, pseudo_huber
from jaxedit.errors import InputError, JaxeditError
from jaxedit.generators.mobile_stylegan.generator import MobileStyleGAN
from jaxedit.generators.mobile_stylegan.preview import Preview, fit_preview
from jaxedit.labels.quantile_transform import QuantileTransform, fit_quantile_transform
from jaxedit.latents.pca import PCA, fit_pca
from jaxedit.latents.seed_stream import sample_z
from jaxedit.pretrained.registry import load_axes, load_generator, load_labelled_latents
from jaxedit.storage.atomic import write_atomically

HELD = ("age", "gender", "smile", "yaw", "pitch", "mouth_opening", "eye_opening", "face_width")
"""Attributes that every curve holds fully; the others are held softly."""

WEIGHTS = dict.fromkeys(HELD, 1.0) | {"glasses": 0.3}
"""How much a change of each attribute counts that is not asked for; the rest counts a tenth."""

GROUPS = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5, 5, 5], np.int32)
"""The group of each of the 16 style inputs: pairs, and the six finest together."""

ENDS = {"gender": (-1.5, 0.5), "yaw": (-1.4, 1.4)}
"""Where an axis ends, chosen by images at two standard deviations; elsewhere at ±2, beyond which are 5 % of faces."""

SLOPES = {"gender": 0.4, "yaw": 0.35}
"""With which a curve goes on beyond the ends; elsewhere a half."""

FAR = {"gender": (2.2, 2.0)}
"""The amounts (down, up) that a mean change of one takes, where that is far from one."""

FURTHER_NETWORKS = FaceResReading.names
"""Columns besides those of the labels: a second network for age and gender."""

_GENERATOR = "mobile-stylegan-ffhq"
_POOL_SEED = 2000
_PREVIEW_FACES = 48
_LARGEST_AMOUNT = 2.0
_BATCH = 8
_SAVE_EVERY = 5
_CALIBRATION_AMOUNT = 1.0


class FaceLook(nnx.Module):
    """What the networks say of faces: positions of the labels' attributes and of `FURTHER_NETWORKS`, two identities."""

    def __init__(self, columns: np.ndarray, labels: QuantileTransform, further: QuantileTransform) -> None:
        self.attributes, self.identity, self.second = FaceAttributes(), FaceIdentity(), FaceResReading()
        self.columns = nnx.data(jnp.asarray(columns))
        self.labels, self.further = nnx.data(labels), nnx.data(further)

    def raw(self, images: Array) -> tuple[Array, Array, tuple[Array, Array]]:
        """Values instead of positions."""
        values, descriptor = self.second(images)
        return self.attributes(images)[:, self.columns], values, (self.identity(images), descriptor)

    def __call__(self, images: Array) -> tuple[Array, tuple[Array, ...]]:
        """Positions and descriptors."""
        values, further, descriptors = self.raw(images)
        positions = [self.labels.transform(values), self.further.transform(further)]
        return jnp.concatenate(positions, axis=1), descriptors


@jax.jit
def _read(preview: Preview, look: FaceLook, w: Array) -> tuple[Array, Array, tuple[Array, Array]]:
    return look.raw(jnp.clip(preview(w), -1, 1))


@jax.jit
def _measure(generator: MobileStyleGAN, network: Any, w: Array) -> Array:
    return network(jnp.clip(generator.synthesis(w), -1, 1))


@dataclasses.dataclass
class World:
    """What all stages share."""

    out: Path
    generator: MobileStyleGAN
    preview: Preview
    pca: PCA
    labels: QuantileTransform
    names: tuple[str, ...]
    label_columns: np.ndarray
    w: np.ndarray
    config: ImageLossConfig

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""
        return (*self.names, *FURTHER_NETWORKS)

    def weights(self, target: str) -> ColumnWeights:
        """ω of a target."""
        return column_weights(target, self.columns, WEIGHTS)

    @property
    def shape(self) -> tuple[int, int]:
        """Of a step."""
        return int(GROUPS.max()) + 1, self.pca.num_components


def prepare(out: Path, faces: int) -> World:
    """Generator, preview, PCA and the faces: every second one is drawn nearer to the mean face (ψ = 0.7)."""
    generator = load_generator(_GENERATOR)
    dataset = load_labelled_latents(_GENERATOR, generator)
    w = np.asarray(generator.mapping(jnp.asarray(sample_z(_POOL_SEED, faces, generator.z_dim))))
    mean = np.asarray(generator.w_avg[...])
    w = np.where(np.arange(faces)[:, None] % 2 == 0, w, mean + 0.7 * (w - mean)).astype(np.float32)
    names = tuple(dataset.attribute_names)
    return World(
        out=out,
        generator=generator,
        preview=fit_preview(generator, np.asarray(dataset.w[:_PREVIEW_FACES])),
        pca=fit_pca(dataset.w),
        labels=fit_quantile_transform(dataset.values, names),
        names=names,
        label_columns=np.array([[a.name for a in FACE_ATTRIBUTES].index(name) for name in names]),
        w=w,
        config=ImageLossConfig(),
    )


def kept(path: Path, make: Any) -> dict[str, np.ndarray]:
    """The arrays of a file, which is made where it is absent."""
    if not path.exists():
        buffer = io.BytesIO()
        np.savez(buffer, **make())
        write_atomically(path, buffer.getvalue())
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def read_pool(world: World) -> tuple[FaceLook, np.ndarray, tuple[np.ndarray, ...]]:
    """The look, with the second network's own scale; positions and descriptors of the faces."""
    identity = fit_quantile_transform(np.arange(2 * len(FURTHER_NETWORKS), dtype=np.float32).reshape(2, -1))
    look = FaceLook(world.label_columns, world.labels, identity)

    def make() -> dict[str, np.ndarray]:
        parts = []
        for start in tqdm(range(0, len(world.w), 4), desc="faces", unit="batch"):
            parts.append(_read(world.preview, look, jnp.asarray(world.w[start : start + 4])))
        values, further, one, other = (
            np.concatenate([np.asarray(jax.tree.leaves(part)[i]) for part in parts]) for i in range(4)
        )
        return {"values": values, "further": further, "descriptor_0": one, "descriptor_1": other}

    pool = kept(world.out / f"pool-{len(world.w)}.npz", make)
    look.further = nnx.data(fit_quantile_transform(pool["further"], FURTHER_NETWORKS))
    positions = np.concatenate(
        [look.labels.transform(pool["values"]), look.further.transform(pool["further"])], axis=1
    )
    return look, np.clip(positions, -4, 4), (pool["descriptor_0"], pool["descriptor_1"])


def read_derivatives(world: World, look: FaceLook, descriptor_sizes: list[int], number: int) -> Moments:
    """Derivatives at the first faces as they are: of every column, and of random signs of the descriptors."""
    num_columns, coordinates = len(world.columns), int(np.prod(world.shape))
    num_rows = num_columns + 3
    rows = np.zeros((number, num_rows, coordinates), np.float32)
    for face in tqdm(range(number), desc="derivatives", unit="face"):
        random = np.random.default_rng([_POOL_SEED, face])
        of_columns = np.zeros((num_rows, num_columns), np.float32)
        of_columns[:num_columns] = np.eye(num_columns)
        signs = [np.zeros((num_rows, size), np.float32) for size in descriptor_sizes]
        for row, which in zip(range(num_columns, num_rows), (0, 0, 1), strict=True):
            signs[which][row] = random.choice([-1, 1], descriptor_sizes[which])

        def make(face: int = face, of_columns: Any = of_columns, signs: Any = signs) -> dict[str, np.ndarray]:
            found = derivatives(
                world.preview,
                look,
                world.pca,
                jnp.asarray(GROUPS),
                jnp.asarray(world.w[face]),
                jnp.zeros(world.shape),
                (jnp.asarray(of_columns), tuple(jnp.asarray(s) for s in signs)),
            )
            return {"rows": np.asarray(found).reshape(num_rows, -1)}

        rows[face] = kept(world.out / "derivatives" / f"{face:05d}.npz", make)["rows"]
    of_descriptors = np.stack(
        [rows[:, num_columns : num_columns + 2].reshape(2 * number, -1), np.repeat(rows[:, -1], 2, axis=0)],
        axis=1,
    )
    return Moments.of(rows[:, :num_columns], of_descriptors)


def descend(
    world: World,
    look: FaceLook,
    before: tuple[np.ndarray, tuple[np.ndarray, ...]],
    moments: Moments,
    attributes: tuple[str, ...],
    images: int,
    seed: int,
) -> dict[str, Curve]:
    """The descent of all attributes, a batch of each in turn."""
    curves = {}
    for name in attributes:
        weights = world.weights(name)
        step = moments.first_step(weights, world.config).reshape(world.shape)
        inverse = moments.inverse(weights, world.config, damping=0.1)
        curves[name] = Curve(step.astype(np.float32), len(world.columns), inverse)
    folder, batches = world.out / "descent", -(-images // _BATCH)
    done = 0
    for path in sorted(folder.glob("*.npz"), reverse=True):
        with np.load(path, allow_pickle=False) as file:
            if all(f"{name}.step" in file for name in attributes):
                for name, curve in curves.items():
                    curve.state = {key: file[f"{name}.{key}"] for key in curve.state}
                done = int(path.stem)
                break
    history: list[str] = []
    with tqdm(total=batches * _BATCH * len(attributes), desc="descent", unit="image") as bar:
        bar.initial = done * _BATCH * len(attributes)
        bar.update(done * _BATCH * len(attributes))
        for number in range(done, batches):
            for index, (name, curve) in enumerate(curves.items()):
                random = np.random.default_rng([seed, number, index])
                seen = _one_batch(world, look, before, world.weights(name), curve, random)
                history.append(jsonlib.dumps({"batch": number, "attribute": name} | seen))
                bar.update(_BATCH)
                bar.set_postfix_str(f"{name} {seen['loss']:.2f}")
            if (number + 1) % _SAVE_EVERY == 0 or number + 1 == batches:
                buffer = io.BytesIO()
                np.savez(buffer, **{f"{n}.{key}": v for n, c in curves.items() for key, v in c.state.items()})
                write_atomically(folder / f"{number + 1:06d}.npz", buffer.getvalue())
    return curves


def _one_batch(
    world: World,
    look: FaceLook,
    before: tuple[np.ndarray, tuple[np.ndarray, ...]],
    weights: ColumnWeights,
    curve: Curve,
    random: np.random.Generator,
) -> dict[str, float]:
    """Each of some faces by the same amount to either side."""
    faces = np.repeat(random.integers(len(world.w), size=_BATCH // 2), 2)
    sizes = _LARGEST_AMOUNT * np.sqrt(random.uniform(0.04, 1, _BATCH // 2))
    amounts = (np.repeat(sizes, 2) * np.tile([-1, 1], _BATCH // 2)).astype(np.float32)
    means, gradients, changes, losses = curve.means(amounts), [], [], []
    for i, face in enumerate(faces):
        some = slice(face, face + 1)
        found, seen = gradient(
            world.preview,
            look,
            world.pca,
            jnp.asarray(GROUPS),
            curve.current,
            jnp.asarray(world.w[some]),
            jnp.asarray(amounts[i : i + 1]),
            (jnp.asarray(before[0][some]), tuple(jnp.asarray(d[some]) for d in before[1])),
            weights,
            jnp.asarray(means[i : i + 1]),
            world.config,
        )
        gradients.append(tuple(np.asarray(g) for g in found))
        changes.append(np.asarray(seen["changes"][0]))
        losses.append(float(seen["loss"][0]))
    curve.take(amounts, gradients, np.stack(changes))
    return {"loss": float(np.mean(losses))}


def seen_in_full(
    world: World, name: str, w_plus: Float[np.ndarray, "num_faces *style w_dim"], batch_size: int
) -> Float[np.ndarray, "num_faces num_attributes"]:
    """Positions that the labeling networks see in full images of latents."""
    network = as_argument(FaceAttributes())

    def make() -> dict[str, np.ndarray]:
        parts = []
        for start in tqdm(range(0, len(w_plus), batch_size), desc=f"calibration, {name}", unit="batch"):
            rows = w_plus[start : start + batch_size]
            padded = np.concatenate([rows, np.repeat(rows[-1:], batch_size - len(rows), axis=0)])
            parts.append(np.asarray(_measure(world.generator, network, jnp.asarray(padded)))[: len(rows)])
        return {"w": w_plus[:2], "values": np.concatenate(parts)}

    path = world.out / "calibration" / f"{name}-{len(w_plus)}.npz"
    found = kept(path, make)
    if not np.array_equal(found["w"], w_plus[:2]):  # of other curves
        path.unlink()
        found = kept(path, make)
    return np.clip(np.asarray(world.labels.transform(found["values"][:, world.label_columns])), -4, 4)


def alone(name: str, curve: tuple[np.ndarray, np.ndarray]) -> LayerCurves:
    """One curve as steps of one attribute."""
    ends, slope = ENDS.get(name, (-2.0, 2.0)), SLOPES.get(name, 0.5)
    step, bend = (jnp.asarray(part, jnp.float32)[None] for part in curve)
    return LayerCurves(step, bend, jnp.asarray([ends]), jnp.asarray([slope]), jnp.asarray(GROUPS))


def calibrate(
    world: World, curves: dict[str, tuple[np.ndarray, np.ndarray]], faces: int, batch_size: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The curves with what they do in full images taken into account."""
    w = world.w[-faces:]
    # In W+, as the edited ones are, so that one program renders both.
    unedited = seen_in_full(world, "unedited", np.repeat(w[:, None], len(GROUPS), axis=1), batch_size)
    effects = {}
    for name, curve in curves.items():
        sides = []
        for side in (-1, 1):
            moved = jnp.full((1, 1), side * _CALIBRATION_AMOUNT)
            w_plus = w[:, None] + np.asarray(alone(name, curve).displacement(world.pca, moved))
            seen = seen_in_full(world, f"{name}{side:+d}", w_plus, batch_size)
            sides.append(side * (seen - unedited) / _CALIBRATION_AMOUNT)
        effects[name] = np.stack(sides)
    return mixed(world.names, curves, effects)


def corrected(
    world: World, curves: dict[str, tuple[np.ndarray, np.ndarray]], faces: int, batch_size: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The curves of `FAR` once more, at those amounts and with the ends of the axis: what they do to the other held
    attributes there is taken out."""
    w = world.w[-faces:]
    unedited = seen_in_full(world, "unedited", np.repeat(w[:, None], len(GROUPS), axis=1), batch_size)
    axes = load_axes(_GENERATOR)
    codes = np.asarray(axes.encode(w))
    result = dict(curves)
    for name in [name for name in FAR if name in curves]:
        steps = alone(name, curves[name])
        position = jnp.asarray(codes[:, [axes.attribute_names.index(name)]])
        places = []
        for side, amount in zip((-1, 1), FAR[name], strict=True):
            moved = steps.saturate(position + side * amount) - steps.saturate(position)
            w_plus = w[:, None] + np.asarray(steps.displacement(world.pca, moved))
            seen = side * (seen_in_full(world, f"{name}{side:+d}-far", w_plus, batch_size) - unedited)
            mean, error = seen.mean(0), seen.std(0) / np.sqrt(len(seen))
            sure = (
                mean * np.maximum(0, 1 - error**2 / np.maximum(mean**2, 1e-30)) / float(jnp.abs(moved).mean())
            )
            at_one = {
                n: side * c[0] + float(pseudo_huber(jnp.float32(1.0))) * c[1] for n, c in curves.items()
            }
            others = [other for other in HELD if other in curves and other != name]
            places.append(at_one[name] - sum(sure[world.names.index(o)] * at_one[o] for o in others))
        down, up = places
        result[name] = (up - down) / 2, (up + down) / (2 * float(pseudo_huber(jnp.float32(1.0))))
    return result


def mixed(
    names: tuple[str, ...],
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
    effects: dict[str, Float[np.ndarray, "2 num_faces num_attributes"]],
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The held attributes among the curves mixed with each other, and taken out of each of the rest."""
    held = [name for name in HELD if name in curves]
    result = {}
    for name in curves:
        some = held if name in held else [*held, name]
        columns = [names.index(other) for other in some]
        seen = np.stack([effects[other][:, :, columns] for other in some], axis=1)
        if name not in held:
            # The held ones stay what they are: what they do to this one is not taken out of them.
            seen[:, :-1, :, -1] = 0
        steps, bends = calibrated(
            (np.stack([curves[o][0] for o in some]), np.stack([curves[o][1] for o in some])),
            seen,
            _CALIBRATION_AMOUNT,
        )
        at = some.index(name)
        result[name] = (steps[at], bends[at])
    return result


def save_steps(path: Path, pca: PCA, curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    """The file of steps."""
    scale, components = np.asarray(pca.whitened_scale), np.asarray(pca.components[: pca.num_components])
    in_w = [
        np.stack([(np.asarray(curve[i]) * scale) @ components for curve in curves.values()]).astype(
            np.float32
        )
        for i in (0, 1)
    ]
    buffer = io.BytesIO()
    # Half precision: a thousandth of a step is far below what is seen, and the file half as large.
    np.savez_compressed(
        buffer,
        attribute_names=np.array(list(curves)),
        steps=in_w[0].astype(np.float16),
        bends=in_w[1].astype(np.float16),
        ends=np.array([ENDS.get(name, (-2.0, 2.0)) for name in curves], np.float32),
        slopes=np.array([SLOPES.get(name, 0.5) for name in curves], np.float32),
        group_of_layer=GROUPS,
    )
    return write_atomically(path, buffer.getvalue())


def run(
    out: Path,
    *,
    faces: int,
    num_derivatives: int,
    images: int,
    calibration_faces: int,
    calibrations: int,
    attributes: tuple[str, ...],
    seed: int,
    batch_size: int,
) -> Path:
    """All of it; the path of the steps."""
    for name, number, least in (
        ("--faces", faces, max(num_derivatives, calibration_faces, 2)),
        ("--derivatives", num_derivatives, 1),
        ("--images", images, 1),
        ("--calibration-faces", calibration_faces, 2),
    ):
        if number < least:
            raise InputError(f"{name}: expected {least} or more, got {number}")
    out.mkdir(parents=True, exist_ok=True)
    world = prepare(out, faces)
    unknown = [name for name in attributes if name not in world.names]
    if unknown:
        raise InputError(f"--attributes: expected some of {', '.join(world.names)}, got {unknown[0]}")
    chosen = attributes or world.names
    look, positions, descriptors = read_pool(world)
    moments = read_derivatives(world, look, [d.shape[1] for d in descriptors], num_derivatives)
    learnt = descend(world, look, (positions, descriptors), moments, chosen, images, seed)
    curves = {name: c.rescaled(c.gains(world.weights(name))) for name, c in learnt.items()}
    for _ in range(calibrations):
        curves = calibrate(world, curves, calibration_faces, batch_size)
    curves = corrected(world, curves, calibration_faces, batch_size)
    return save_steps(out / "steps.npz", world.pca, curves)


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main(
    out: Annotated[Path, typer.Option(help="folder of measurements and result")],
    faces: Annotated[int, typer.Option(help="faces to learn from")] = 1024,
    derivatives: Annotated[int, typer.Option(help="of them, those at which derivatives are taken")] = 160,
    images: Annotated[int, typer.Option(help="of the descent, for each attribute")] = 640,
    calibration_faces: Annotated[
        int, typer.Option(help="on which the curves are measured in full images")
    ] = 96,
    calibrations: Annotated[int, typer.Option(help="how often they are measured and mixed")] = 2,
    attributes: Annotated[
        str, typer.Option(help="with commas; by default all that come with the labels")
    ] = "",
    seed: Annotated[int, typer.Option(help="of the faces and amounts of the descent")] = 0,
    batch_size: Annotated[int, typer.Option(help="full images at once: 32 and more on an accelerator")] = 4,
) -> None:
    """Learn the curves of the default axes through images.

    \b
    python -m benchmarks.quality.learn_layer_steps --out curves
    python -m benchmarks.quality.learn_layer_steps --out some --attributes age,smile --images 320

    An image of the descent takes 0.4 s on two CPU cores: about twenty minutes for four attributes. What is stopped
    goes on where it was when it is started again with the same --out.
    """
    try:
        path = run(
            out,
            faces=faces,
            num_derivatives=derivatives,
            images=images,
            calibration_faces=calibration_faces,
            calibrations=calibrations,
            attributes=tuple(part.strip() for part in attributes.split(",") if part.strip()),
            seed=seed,
            batch_size=batch_size,
        )
    except JaxeditError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(path)


if __name__ == "__main__":
    app()
