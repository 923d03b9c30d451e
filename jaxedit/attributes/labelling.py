"""Labelling: seeds → z → w → images → attribute values, shard by shard, resumable."""

import dataclasses
import io
import itertools
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from tqdm.auto import tqdm

from jaxedit.attributes.base import AttributeClassifier, as_argument
from jaxedit.attributes.labels_file import Labels, save_labels
from jaxedit.attributes.latents import fingerprint, z_batches
from jaxedit.errors import InputError
from jaxedit.files import write_atomically
from jaxedit.generators.base import Generator

LABELS_FILE = "labels.npz"
_JOB_FILE = "job.json"


@dataclasses.dataclass(frozen=True)
class LabellingJob:
    """What a folder of labels is made with. A folder goes on only with the job it was begun with.

    The number of latents is no part of it: a folder can be extended.

    Attributes:
        generator: name of the generator.
        seed: of the stream of latents.
        batch_size: latents rendered and classified at once.
        shard_size: latents of one file; a killed run loses at most one such file's work.
        attribute_names: of the classifier.
        attribute_units: of the classifier.
    """

    generator: str
    seed: int
    batch_size: int
    shard_size: int
    attribute_names: tuple[str, ...]
    attribute_units: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("batch_size", "shard_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if self.shard_size % self.batch_size:
            raise InputError(
                f"shard_size: expected a multiple of the batch size {self.batch_size}, got {self.shard_size}"
            )


@jax.jit
def _label_batch(
    generator: Generator, classifier: Callable[[Array], Array], z: Float[Array, "batch z_dim"]
) -> tuple[Float[Array, "batch w_dim"], Float[Array, "batch num_attributes"]]:
    w = generator.mapping(z)
    return w, classifier(generator.synthesis(w))


def label(
    generator: Generator,
    classifier: AttributeClassifier,
    out: str | Path,
    *,
    num_samples: int,
    seed: int = 0,
    batch_size: int = 8,
    shard_size: int = 256,
    generator_name: str,
    progress: bool = True,
) -> Labels:
    """Label the first latents of a seed's stream.

    Rendering, classifying and all between are one compiled function; memory is constant in `num_samples`. Each shard
    is written under a temporary name and renamed. A run that was killed goes on after its last whole shard, with the
    same batches, and ends with the same files as one that was not. A folder that is complete can be extended by
    asking for more.

    Args:
        generator: any generator that is a pytree.
        classifier: any classifier that is a pytree, or a pure function with names.
        out: the folder; `labels.npz` in it is the result.
        num_samples: how many latents.
        seed: of the stream (see `sample_z`).
        batch_size: latents at once: 8 suits a CPU, 32 and more an accelerator.
        shard_size: latents of one file, a multiple of `batch_size`.
        generator_name: is kept with the labels.
        progress: show a progress bar with the throughput.

    Returns:
        The labels, which are in `out/labels.npz` too.

    Raises:
        InputError: if a number does not fit, if the folder holds another job, or the classifier gives NaN.
        OutputError: if the folder cannot be written.
    """
    if num_samples < 1:
        raise InputError(f"num_samples: expected 1 or more, got {num_samples}")
    units = tuple(getattr(classifier, "units", ("",) * len(classifier.names)))
    job = LabellingJob(generator_name, seed, batch_size, shard_size, tuple(classifier.names), units)
    out = Path(out)
    _begin_or_resume(job, out)
    network = as_argument(classifier)
    starts = range(0, num_samples, shard_size)
    shards = []
    with tqdm(total=num_samples, desc="labelling", unit="image", disable=not progress, smoothing=0.05) as bar:
        for start in starts:
            path = out / "shards" / f"{start:09d}.npz"
            stop = min(start + shard_size, num_samples)
            shard = _read_shard(path, stop - start, len(job.attribute_names))
            if shard is None:
                shard = _label_shard(generator, network, job, start, stop, bar)
                _write_shard(path, shard)
            else:
                if not bar.disable:
                    bar.initial += stop - start  # keeps the throughput that of the work done now
                bar.update(stop - start)
            shards.append(shard)
    labels = Labels(
        generator=generator_name,
        seed=seed,
        values=np.concatenate([shard["values"] for shard in shards]),
        attribute_names=job.attribute_names,
        attribute_units=job.attribute_units,
        z_fingerprint=np.concatenate([shard["z_fingerprint"] for shard in shards]),
        w_fingerprint=np.concatenate([shard["w_fingerprint"] for shard in shards]),
    )
    save_labels(labels, out / LABELS_FILE)
    return labels


def _begin_or_resume(job: LabellingJob, out: Path) -> None:
    path = out / _JOB_FILE
    wanted = json.loads(json.dumps(dataclasses.asdict(job)))
    if path.is_file():
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: damaged: {error}") from error
        if found != wanted:
            differing = [key for key in wanted if found.get(key) != wanted[key]] or ["(unknown keys)"]
            raise InputError(
                f"{out}: holds labels of another job: {differing[0]} is {found.get(differing[0])}, "
                f"expected {wanted.get(differing[0])}; give another folder"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: expected a new or empty folder, or one with labels to go on with")
    else:
        write_atomically(path, (json.dumps(wanted, indent=2) + "\n").encode())


def _label_shard(
    generator: Generator,
    network: Callable[[Array], Array],
    job: LabellingJob,
    start: int,
    stop: int,
    bar: tqdm,
) -> dict[str, np.ndarray]:
    parts: dict[str, list[np.ndarray]] = {"values": [], "z_fingerprint": [], "w_fingerprint": []}
    pending = None
    # The next batch is under way on the device while the last one's results are fetched.
    batches = z_batches(job.seed, stop, generator.z_dim, batch_size=job.batch_size, start=start)
    for first, z in itertools.chain(batches, [(stop, None)]):
        running = None if z is None else (first, z, _label_batch(generator, network, jnp.asarray(z)))
        if pending is not None:
            began, own_z, (w, values) = pending
            rows = min(job.batch_size, stop - began)
            values = np.asarray(values, np.float32)[:rows]
            if not np.isfinite(values).all():
                row, column = np.argwhere(~np.isfinite(values))[0]
                raise InputError(
                    f"classifier: expected finite values, got {values[row, column]} for "
                    f"{job.attribute_names[column]} of latent {began + row}"
                )
            parts["values"].append(values)
            parts["z_fingerprint"].append(fingerprint(own_z)[:rows])
            parts["w_fingerprint"].append(fingerprint(np.asarray(w))[:rows])
            bar.update(rows)
        pending = running
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def _write_shard(path: Path, shard: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(
        buffer,
        values=shard["values"],
        z_fingerprint=shard["z_fingerprint"],
        w_fingerprint=shard["w_fingerprint"],
    )
    write_atomically(path, buffer.getvalue())


def _read_shard(path: Path, rows: int, columns: int) -> dict[str, np.ndarray] | None:
    """A shard that an earlier run wrote; None if it is absent or damaged, and then it is made again."""
    try:
        with np.load(path, allow_pickle=False) as file:
            shard = {name: file[name] for name in ("values", "z_fingerprint", "w_fingerprint")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return shard if shard["values"].shape == (rows, columns) else None
