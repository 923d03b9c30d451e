"""Blind studies: pairs of images for somebody who does not know which side is which, and the rates of the answers.

A pair shows one face moved by +amount and by −amount along one attribute, by one method, the sides by chance. A study
is two folders: the reader's, with sheets, instructions and an empty table; and the key's, which the reader must not
see. The sides and the order of the pairs follow from a secret that only the key holds, so that nobody finds them by
trying seeds.
"""

import dataclasses
import hashlib
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from jaxedit.errors import InputError
from jaxedit.evaluation.blind_answers import KEY_KIND, PairKey, StudyKey, instructions, load_seed
from jaxedit.evaluation.in_places import PlacedMethod
from jaxedit.evaluation.methods import EditingMethod, check_methods
from jaxedit.evaluation.report.numbered_sheet import draw_numbered_sheet
from jaxedit.evaluation.thumbnails import render_thumbnails
from jaxedit.generators.protocol import Generator
from jaxedit.images import save_image
from jaxedit.storage.atomic import write_atomically
from jaxedit.storage.paths import as_path
from jaxedit.storage.runs import REQUEST_FILE, RunFolder

T = TypeVar("T")

ANSWERS_FILE = "answers.tsv"
_GAP = 4
_KIND = "blind study"


@dataclasses.dataclass(frozen=True)
class BlindConfig:
    """Faces, amounts and sheets of a study.

    Attributes:
        attributes: which are moved. A method takes part with those that it has.
        faces: number of faces; each is one pair for each attribute and method.
        amount: in the unit of the methods; standard deviations for axes. The sides are +amount and −amount.
        seed: of the sides and of the order of the pairs, for a study that can be made again; a reader could find it by
            trying. None draws a secret, which only the key holds. The faces are the caller's.
        size: width of an image on a sheet, in pixels.
        pairs_per_sheet: number of pairs on a sheet.
        batch_size: images rendered at once.

    Raises:
        InputError: if a number is out of range, or an attribute is missing or comes twice.
    """

    attributes: tuple[str, ...]
    faces: int = 18
    amount: float = 1.5
    seed: int | None = None
    size: int = 256
    pairs_per_sheet: int = 12
    batch_size: int = 4

    def __post_init__(self) -> None:
        for name, least in {"faces": 1, "size": 16, "pairs_per_sheet": 1, "batch_size": 1}.items():
            if getattr(self, name) < least:
                raise InputError(f"{name}: expected {least} or more, got {getattr(self, name)}")
        if not np.isfinite(self.amount) or self.amount <= 0:
            raise InputError(f"amount: expected a number above 0, got {self.amount}")
        if self.seed is not None and not 0 <= self.seed < 2**32:
            raise InputError(f"seed: expected 0…{2**32 - 1}, got {self.seed}")
        if not self.attributes or len(set(self.attributes)) != len(self.attributes):
            raise InputError(
                f"attributes: expected one or more, each once, got {', '.join(self.attributes) or 'none'}"
            )


def write_blind_study(
    generator: Generator,
    methods: Sequence[EditingMethod],
    w: Float[Array | np.ndarray, "num_faces w_dim"],
    config: BlindConfig,
    *,
    out: str | Path,
    key_out: str | Path,
    progress: bool = True,
) -> StudyKey:
    """Write the sheets of a study for its reader, and the key apart from them.

    Each attribute has its sheets, since a reader is asked about one attribute at a time; the pairs of all methods
    stand on them in one random order. Interrupted runs resume: sheets that are there are not made again, and a table of
    answers that somebody has begun stays as it is.

    Args:
        generator: makes the images. With a `PlacingGenerator` and `PlacedMethod`s edits are drawn at their places.
        methods: move the faces.
        w: latents of the faces, which no method has learned from.
        config: the study.
        out: folder for the reader, new or of an earlier run.
        key_out: folder of the key, neither in `out` nor around it.
        progress: show a progress bar.

    Raises:
        InputError: if the folders lie in one another or hold something else, the key of a study that has begun is
            missing, a method does not belong to the generator, no method has an attribute, two methods have one name,
            or the faces are not as many as the study's.
        OutputError: if a folder cannot be written.
    """
    folders = StudyFolders(out, key_out)
    check_methods(generator, methods)
    seed = folders.seed(config)
    key = _make_key(methods, w, config, seed)
    by_name = {method.name: method for method in methods}

    def draw(pairs: Sequence[PairKey], text: str | None) -> np.ndarray:
        latents = [list(_edited(by_name[pair.method], w, pair, config.amount)[:, None]) for pair in pairs]
        return shown_pair(latents, generator, config, text)

    write_sheets(
        folders,
        key,
        dataclasses.asdict(key) | {"seed": seed} | told_of(methods, config.attributes),
        config,
        draw,
        instructions(config.attributes),
        progress=progress,
    )
    return key


@dataclasses.dataclass(frozen=True)
class StudyFolders:
    """The two folders of a study.

    Attributes:
        out: for the reader, new or of an earlier run.
        key_out: of the key, neither in `out` nor around it.

    Raises:
        InputError: if one lies in the other.
    """

    out: str | Path
    key_out: str | Path

    def __post_init__(self) -> None:
        mine, keys = as_path(self.out).resolve(), as_path(self.key_out).resolve()
        if mine == keys or mine in keys.parents or keys in mine.parents:
            raise InputError(
                f"{self.key_out}: expected a folder of the key apart from the sheets in {self.out}: the reader gets "
                "that one"
            )

    def seed(self, config: BlindConfig) -> int | str:
        """The seed of the sides: the one asked for, or a secret in hexadecimal, of an earlier run or drawn now.

        Raises:
            InputError: if there are sheets of an earlier run and no key with its secret, or the key is damaged.
        """
        return self.secret(load_seed) if config.seed is None else config.seed

    def secret(self, read: Callable[[str | Path], T]) -> T | str:
        """The secret of an earlier run, or a new one, in hexadecimal.

        Args:
            read: that of the folder of a key.

        Raises:
            InputError: if there are sheets of an earlier run and no key with its secret, or as `read`.
        """
        if (as_path(self.key_out) / REQUEST_FILE).is_file():
            return read(self.key_out)
        if (as_path(self.out) / REQUEST_FILE).is_file():
            raise InputError(
                f"{self.key_out}: expected the key of the sheets in {self.out}, found none: nobody knows what they "
                "show; give another folder for the sheets"
            )
        return secrets.token_hex(16)


def random_of(seed: int | str) -> np.random.RandomState:
    """The random numbers of a study, from a number or from all bits of a secret in hexadecimal."""
    return np.random.RandomState(
        np.frombuffer(bytes.fromhex(seed), np.uint32) if isinstance(seed, str) else seed
    )


def study_number(seed: int | str, *content: Any) -> str:
    """The number of a study, which its reader sees. The seed is in it, so that nobody finds the sides by trying all."""
    return hashlib.sha256(repr((seed, *content)).encode()).hexdigest()[:12]


def told_of(methods: Sequence[EditingMethod], attributes: Sequence[str]) -> dict[str, Any]:
    """What the request of a study says of the places of edits; nothing where whole images change."""
    placed = {
        method.name: {name: method.place_of(name) for name in attributes if name in method.attribute_names}
        for method in methods
        if isinstance(method, PlacedMethod)
    }
    return {"places": placed} if placed else {}


def shown_pair(
    latents: Sequence[Sequence[Array]], generator: Generator, config: BlindConfig, text: str | None
) -> UInt8[np.ndarray, "num_pairs size width 3"]:
    """The images of each pair side by side, with white between them.

    Args:
        latents: of each pair, those of its images, [1, w_dim] or [1, rows, w_dim].
        generator: makes the images.
        config: their size.
        text: of the progress bar; None for none.
    """
    count = len(latents[0])
    flat = [x for pair in latents for x in pair]
    if len({x.ndim for x in flat}) > 1:  # W beside W+
        layers = next(x.shape[1] for x in flat if x.ndim == 3)
        flat = [jnp.repeat(x[:, None], layers, axis=1) if x.ndim == 2 else x for x in flat]
    images = render_thumbnails(
        generator, jnp.concatenate(flat), config.size, batch_size=config.batch_size, progress=text
    )
    gap = np.full((len(latents), config.size, _GAP, 3), 255, np.uint8)
    parts = [part for i in range(count) for part in (images[i::count], gap)]
    return np.concatenate(parts[:-1], axis=2)


def write_sheets(
    folders: StudyFolders,
    key: Any,
    request: dict[str, Any],
    config: BlindConfig,
    draw: Callable[[Any, str | None], np.ndarray],
    how_to_read: str,
    *,
    progress: bool,
) -> None:
    """Write both folders: sheets by attribute, instructions and an empty table here, the request of the key there.

    Raises:
        InputError: if a folder holds something else.
        OutputError: if a folder cannot be written.
    """
    # Nothing that tells the sides or the methods: the reader has this folder.
    told = {"study": key.study, "pairs": len(key.pairs), "size": config.size}
    told |= {"in_places": True} if "places" in request else {}
    RunFolder.check_target(folders.out, kind=_KIND, request=told)
    # The key first: without its secret the sheets could not be finished.
    RunFolder.open(folders.key_out, kind=KEY_KIND, request=request)
    run = RunFolder.open(folders.out, kind=_KIND, request=told)
    for name in dict.fromkeys(pair.attribute for pair in key.pairs):
        pairs = [pair for pair in key.pairs if pair.attribute == name]
        for first in range(0, len(pairs), config.pairs_per_sheet):
            some = pairs[first : first + config.pairs_per_sheet]
            file = f"{name.replace(' ', '_')}_{some[0].pair}-{some[-1].pair}.png"
            path = run.path / "sheets" / file
            if path.exists():
                continue
            text = f"{name}, pairs {some[0].pair} to {some[-1].pair}" if progress else None
            shown = draw(some, text)
            sides = "L | R" if shown.shape[2] < 3 * config.size else "L | before | R"
            labels = [f"{pair.pair}   {sides}" for pair in some]
            save_image(draw_numbered_sheet(shown, labels, columns=3), path)
    write_atomically(run.path / "instructions.md", how_to_read.encode())
    answers = run.path / ANSWERS_FILE
    if not answers.exists():
        lines = [f"# study {key.study}", "\t".join(("pair", "attribute", *key.columns, "notes"))]
        lines += [f"{pair.pair}\t{pair.attribute}" + "\t" * (len(key.columns) + 1) for pair in key.pairs]
        write_atomically(answers, ("\n".join(lines) + "\n").encode())


def _make_key(
    methods: Sequence[EditingMethod],
    w: Float[Array | np.ndarray, "num_faces w_dim"],
    config: BlindConfig,
    seed: int | str,
) -> StudyKey:
    names = [method.name for method in methods]
    if not names or len(set(names)) != len(names):
        raise InputError(
            f"methods: expected one or more, each with a name of its own, got {', '.join(names) or 'none'}"
        )
    if len(w) != config.faces:
        raise InputError(f"w: expected {config.faces} faces, got {len(w)}")
    for attribute in config.attributes:
        if not any(attribute in method.attribute_names for method in methods):
            known = sorted({name for method in methods for name in method.attribute_names})
            raise InputError(f"attribute {attribute!r}: expected one of {', '.join(known)}")
    random = random_of(seed)
    pairs: list[PairKey] = []
    for attribute in config.attributes:
        own = [
            (method.name, face)
            for method in methods
            if attribute in method.attribute_names
            for face in range(config.faces)
        ]
        for place in random.permutation(len(own)):
            method_name, face = own[place]
            side = "L" if random.rand() < 0.5 else "R"
            pairs.append(PairKey(f"{len(pairs):04d}", attribute, method_name, face, side))
    study = study_number(seed, pairs, config.amount, np.asarray(w, np.float32).round(2).tolist())
    return StudyKey(study, config.amount, tuple(pairs))


def _edited(
    method: EditingMethod, w: Float[Array | np.ndarray, "num_faces w_dim"], pair: PairKey, amount: float
) -> Array:
    """The left and the right latent of a pair."""
    left = amount if pair.side == "L" else -amount
    face = jnp.repeat(jnp.asarray(w)[pair.face][None], 2, axis=0)
    return jnp.asarray(method.edit(face, pair.attribute, jnp.asarray([left, -left], jnp.float32)))
