"""Classifiers that the command line names: files, folders, the face networks; and the check of what they return."""

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxedit.attributes.classifier import AttributeClassifier
from jaxedit.attributes.joined import join_classifiers
from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator
from jaxedit.storage.paths import as_path
from jaxedit.storage.regular_files import check_regular

_LINES = 3  # of a user's own code that an error shows
_BATCH = 2


FACES = "faces"
"""Name of the face networks."""

MARKED_FACES = "marked-faces"
"""Name of what was learned from the annotations of the package."""


def face_classifiers(attribute_names: Sequence[str]) -> list[str]:
    """The names of the classifiers of faces that read some attributes: the second only where it is needed.

    The face networks are quick. What was learned from marks sees glasses, hats, beards and hair, and takes far longer.
    """
    from jaxedit.attributes.learned.marked_faces import MARKED_ATTRIBUTES

    return [FACES, MARKED_FACES] if set(attribute_names) & set(MARKED_ATTRIBUTES) else [FACES]


def load_classifiers(where: Sequence[str]) -> AttributeClassifier:
    """The classifiers of some names as one; of two attributes of one name, that of the later one is kept.

    Raises:
        InputError, CheckpointError: as `load_classifier`.
    """
    return join_classifiers([load_classifier(name) for name in where])


def load_classifier(where: str) -> AttributeClassifier:
    """A classifier by its name.

    Args:
        where: "faces" for the face networks; "marked-faces" for what was learned from the annotations of the package;
            a folder of a learned classifier; or `file.py:Name`, where the name is that of a classifier, or of a class
            or function that returns one when it is called without arguments. That file is run.

    Raises:
        InputError: if the file or the name is missing, the file is no Python file or fails, or the object is no
            classifier.
        CheckpointError: if the folder holds no learned classifier, or a damaged one.
    """
    # Imported here: what only checks a classifier does not wait for the networks' modules.
    if where == FACES:
        from jaxedit.attributes.faces.face_attributes import FaceAttributes

        return FaceAttributes()
    if where == MARKED_FACES:
        from jaxedit.attributes.learned.marked_faces import load_marked_faces

        return load_marked_faces()
    if as_path(where).is_dir():
        from jaxedit.attributes.learned.classifier import LearnedClassifier

        return LearnedClassifier.load(where)
    file, mark, name = where.rpartition(":")
    if not mark or not file or not name:
        raise InputError(
            f"classifier: expected FILE.py:NAME, got '{where}', which is no folder of `jaxedit teach` either"
        )
    path = as_path(file)
    if path.suffix != ".py":
        raise InputError(f"classifier: expected a Python file that ends in .py, got '{file}'")
    check_regular(path, expected="a Python file with a classifier")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # its own imports, as when it is run
    try:
        spec.loader.exec_module(module)
        found = getattr(module, name, None)
        if found is None:
            raise InputError(f"classifier: expected {name} in {path}, found no such name")
        classifier = found() if callable(found) and not hasattr(type(found), "names") else found
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"classifier: {path} fails: {_own_lines(error, path)}") from error
    finally:
        sys.path.remove(str(path.parent))
    if not callable(classifier) or not hasattr(classifier, "names"):
        raise InputError(f"classifier: expected {name} of {path} to have names and to be callable")
    return classifier


def check_classifier(
    classifier: AttributeClassifier, generator: Generator, *, may_describe: bool = False
) -> None:
    """Check the names of a classifier, and the shape and type of what it returns, without running it on an image.

    Args:
        classifier: any object with names that takes images.
        generator: makes the images that it will see.
        may_describe: whether it may return a pair, whose second part are descriptors of identity.

    Raises:
        InputError: if it has no names or the same twice, if it fails, or if its result is not floats
            [batch, number of names].
    """
    if type(classifier).__module__.startswith("jaxedit."):
        return  # those of this library fit, and tracing them takes a second
    names = classifier.names
    if isinstance(names, str) or not all(isinstance(name, str) and name for name in names) or not len(names):
        raise InputError(f"your classifier: expected names, a tuple of texts, got {names!r}")
    if len(set(names)) != len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise InputError(f"your classifier: expected each name once, got {twice!r} twice")
    w = jax.ShapeDtypeStruct((_BATCH, generator.w_dim), jnp.float32)
    images = jax.eval_shape(generator.synthesis, w)
    try:
        values: Any = jax.eval_shape(classifier, images)
    except InputError as error:
        raise InputError(f"your classifier failed on images {list(images.shape)}: {error}") from error
    except Exception as error:
        raise InputError(f"your classifier failed: {_own_lines(error, None)}") from error
    if may_describe and isinstance(values, tuple) and len(values) == 2:
        values = values[0]
    expected = f"floats [{_BATCH}, {len(names)}], one column for each of its names, of {_BATCH} images"
    if not hasattr(values, "shape") or not hasattr(values, "dtype"):
        raise InputError(f"your classifier: expected {expected}, got {type(values).__name__}")
    if values.shape != (_BATCH, len(names)) or not jnp.issubdtype(values.dtype, jnp.floating):
        raise InputError(f"your classifier: expected {expected}, got {list(values.shape)} of {values.dtype}")


def _own_lines(error: BaseException, path: Path | None) -> str:
    """What went wrong, and the last lines of the user's own code that led there."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if (str(path) == frame.filename if path else "site-packages" not in frame.filename)
        and not frame.filename.startswith("<")
        and Path(frame.filename).resolve() != Path(__file__).resolve()
    ]
    lines = " → ".join(f"{Path(f.filename).name}:{f.lineno}: {f.line}" for f in frames[-_LINES:])
    said = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
    return f"{what} (at {lines})" if lines else what
