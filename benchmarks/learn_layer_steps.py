"""Layer steps for the default axes: pairs of pictures, responses, steps, and their sizes measured in pictures again.

  python -m benchmarks.learn_layer_steps --out layer-steps
  python -m benchmarks.learn_layer_steps --out small --num-pairs 16 --calibration-faces 2 --attributes age,smile

The steps go to OUT/steps.npz, which `jaxedit.axes.layer_steps.load_layer_steps` reads. A run that is stopped goes on
after its last whole shard. 8,192 pairs take half an hour on two free CPU cores.
"""

import zlib
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import typer
from jaxtyping import Array, Float
from tqdm import tqdm

from jaxedit.attributes.base import as_argument
from jaxedit.attributes.face_attributes import FACE_ATTRIBUTES, FaceAttributes, FaceIdentity
from jaxedit.attributes.gaussianise import fit_gaussianiser
from jaxedit.axes.layer_learning import attribute_basis, responses, solve_step
from jaxedit.axes.pca import fit_pca
from jaxedit.pretrained import load_generator, load_labelled_latents

HELD = ("age", "gender", "smile", "yaw", "pitch", "mouth_opening", "eye_opening", "face_width")
"""Attributes that every step holds; the others are held softly."""

GROUPS = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5, 5, 5], np.int32)
"""The group of each of the 16 style inputs: pairs, and the six finest together."""

IDENTITY_RATES = np.array([0.16, 0.11, 0.10, 0.068, 0.042, 0.028], np.float32)
"""Descriptor distance for a move of each group by one: 48 faces, steps of age, gender, smile and yaw."""

_GENERATOR = "mobile-stylegan-ffhq"
_SHARD = 256
_CALIBRATION_AMOUNT = 1.2


@jax.jit
def _measure(generator: Any, networks: list[Any], w: Array) -> list[Array]:
    images = jnp.clip(generator.synthesis(w), -1, 1)
    return [network(images) for network in networks]


class Rounds:
    """Renders and measures latents shard by shard; what is in the folder is not rendered again."""

    def __init__(self, out: Path, batch_size: int) -> None:
        self.out, self.batch_size = out, batch_size
        self.generator = load_generator(_GENERATOR)
        self.networks = [as_argument(FaceAttributes()), as_argument(FaceIdentity())]

    def __call__(self, name: str, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Attribute values and descriptors of the pictures of latents of W or W+."""
        parts = []
        with tqdm(total=len(w), desc=name, unit="image") as bar:
            for start in range(0, len(w), _SHARD):
                rows = w[start : start + _SHARD]
                # Named by the latents themselves: another seed, size of moves or step is measured anew.
                path = self.out / f"{name}-{start:06d}-{zlib.crc32(rows.tobytes()):08x}.npz"
                if not path.exists():
                    values = [
                        self._batch(rows[i : i + self.batch_size], bar)
                        for i in range(0, len(rows), self.batch_size)
                    ]
                    temporary = path.with_suffix(".partial.npz")
                    np.savez(
                        temporary,
                        values=np.concatenate([v for v, _ in values]),
                        descriptors=np.concatenate([d for _, d in values]),
                    )
                    temporary.replace(path)
                else:
                    bar.update(len(rows))
                with np.load(path) as file:
                    parts.append((file["values"], file["descriptors"]))
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _batch(self, rows: np.ndarray, bar: tqdm) -> tuple[np.ndarray, np.ndarray]:
        padded = np.concatenate([rows, np.repeat(rows[-1:], self.batch_size - len(rows), axis=0)])
        values, descriptors = _measure(self.generator, self.networks, jnp.asarray(padded, jnp.float32))
        bar.update(len(rows))
        return np.asarray(values)[: len(rows)], np.asarray(descriptors)[: len(rows)]


def calibrated(
    steps: Float[np.ndarray, "num_steps num_coordinates"],
    effects: Float[np.ndarray, "num_steps num_faces num_steps"],
) -> Float[np.ndarray, "num_steps num_coordinates"]:
    """Steps mixed so that each changes its attribute by one and the others by none on average.

    Args:
        steps: the steps.
        effects: what each does to each attribute on each face. Means within two standard errors of zero are taken
            for zero.
    """
    mean = effects.mean(1)
    error = effects.std(1) / np.sqrt(effects.shape[1])
    matrix = np.where((np.abs(mean) > 2 * error) & ~np.eye(len(mean), dtype=bool), mean, 0)
    matrix += np.diag(np.clip(np.diag(mean), 0.5, 1.5))
    return np.linalg.inv(matrix) @ steps


def run(
    out: Path,
    num_pairs: int,
    calibration_faces: int,
    attributes: tuple[str, ...],
    sigma: float,
    seed: int,
    batch_size: int,
) -> Path:
    """All of it; the path of the steps."""
    out.mkdir(parents=True, exist_ok=True)
    dataset = load_labelled_latents(_GENERATOR)
    pca = fit_pca(dataset.w)
    k = pca.num_components
    scale = np.sqrt(np.asarray(pca.explained_variance[:k]))
    components = np.asarray(pca.components[:k])
    gaussianiser = fit_gaussianiser(dataset.values, dataset.attribute_names)
    names = list(dataset.attribute_names)
    columns = [[a.name for a in FACE_ATTRIBUTES].index(name) for name in names]

    def positions(values: np.ndarray) -> np.ndarray:
        return positions_of_labels(gaussianiser, values[:, columns])

    x = np.asarray(pca.transform(dataset.w))[:, :k] / scale
    basis = attribute_basis(jnp.asarray(x), jnp.asarray(positions_of_labels(gaussianiser, dataset.values)))
    num_groups = int(GROUPS.max()) + 1
    w = np.asarray(dataset.w[:num_pairs])
    moves = sigma * np.random.default_rng(seed).normal(size=(len(w), num_groups, k)).astype(np.float32)
    measure = Rounds(out, batch_size)
    values, descriptors = measure("unedited", w)
    moved_values, moved_descriptors = measure("moved", w[:, None] + ((moves * scale) @ components)[:, GROUPS])

    def regress(changes: np.ndarray, regularisation: float) -> np.ndarray:
        return np.asarray(
            responses(jnp.asarray(moves), basis, jnp.asarray(changes), regularisation=regularisation)
        )

    J = regress(positions(moved_values) - positions(values), 0.02)
    K = regress(moved_descriptors - descriptors, 0.1)
    # The attributes of `HELD` first: they are mixed with each other, and taken out of the rest.
    order = [*HELD, *(name for name in names if name not in HELD)]
    solved = []
    for name in order:
        held = list(dict.fromkeys([*HELD, name]))
        soft = [i for i, other in enumerate(names) if other not in held]
        J_held = J[:, [names.index(other) for other in held]]
        u = solve_step(
            jnp.asarray(J_held),
            jnp.asarray(J[:, soft]),
            jnp.asarray(K),
            jnp.asarray(IDENTITY_RATES),
            held.index(name),
        )
        solved.append((np.asarray(u).reshape(num_groups, -1) @ np.asarray(basis).T).reshape(-1))

    faces = np.asarray(dataset.w[-calibration_faces:])
    wanted = [name for name in order if name in HELD or name in attributes]
    effects = {}
    for name in wanted:
        coordinates = solved[order.index(name)].reshape(num_groups, k)
        change = (_CALIBRATION_AMOUNT * (coordinates * scale) @ components)[GROUPS]
        up, down = (positions(measure(f"{name}{s:+d}", faces[:, None] + s * change)[0]) for s in (1, -1))
        effects[name] = (up - down) / (2 * _CALIBRATION_AMOUNT)
    first = np.stack([effects[name][:, [names.index(n) for n in HELD]] for name in HELD])
    final = dict(zip(HELD, calibrated(np.stack(solved[: len(HELD)]), first), strict=True))
    for name in wanted[len(HELD) :]:
        of_held = effects[name][:, [names.index(n) for n in HELD]]
        error = of_held.std(0) / np.sqrt(len(of_held))
        side = np.where(np.abs(of_held.mean(0)) > 2 * error, of_held.mean(0), 0)
        own = np.clip(effects[name][:, names.index(name)].mean(), 0.5, 1.5)
        rest = sum(amount * final[n] for amount, n in zip(side, HELD, strict=True))
        final[name] = (solved[order.index(name)] - rest) / own
    chosen = [name for name in final if name in attributes]
    steps = np.stack([(final[n].reshape(num_groups, k) * scale) @ components for n in chosen]).astype(
        np.float32
    )
    path = out / "steps.npz"
    np.savez_compressed(path, attribute_names=np.array(chosen), steps=steps, group_of_layer=GROUPS)
    return path


def positions_of_labels(gaussianiser: Any, values: np.ndarray) -> np.ndarray:
    """The labels in standard deviations, clipped as in training."""
    return np.clip(np.asarray(gaussianiser.transform(values), np.float32), -4, 4)


def main(
    out: Annotated[Path, typer.Option(help="folder of measurements and result")],
    num_pairs: Annotated[int, typer.Option(help="labelled faces, each rendered as it is and moved")] = 8192,
    calibration_faces: Annotated[int, typer.Option(help="on which the sizes of the steps are measured")] = 96,
    attributes: Annotated[
        str, typer.Option(help="with commas; by default all that come with the labels")
    ] = "",
    sigma: Annotated[float, typer.Option(help="of the random moves, in whitened coordinates")] = 0.4,
    seed: Annotated[int, typer.Option(help="of the random moves")] = 7,
    batch_size: Annotated[int, typer.Option(help="pictures at once: 32 and more on an accelerator")] = 8,
) -> None:
    """Learn the layer steps of the default axes."""
    known = load_labelled_latents(_GENERATOR).attribute_names
    chosen = tuple(attributes.split(",")) if attributes else tuple(known)
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise typer.BadParameter(f"--attributes: expected some of {', '.join(known)}, got {unknown[0]}")
    print(run(out, num_pairs, calibration_faces, chosen, sigma, seed, batch_size))


if __name__ == "__main__":
    typer.run(main)
