"""A classifier from a user's Python file, for the command line."""

import importlib.util
import sys

from jaxedit.attributes.classifier import AttributeClassifier
from jaxedit.errors import InputError
from jaxedit.storage.paths import as_path


def load_classifier(where: str) -> AttributeClassifier:
    """Run a user's Python file and return a classifier that it defines.

    Args:
        where: `file.py:Name`. The name is that of a classifier, or of a class or function that returns one when it is
            called without arguments.

    Raises:
        InputError: if the file or the name is missing, the file fails, or the object is no classifier.
    """
    file, mark, name = where.rpartition(":")
    path = as_path(file)
    if not mark or path.suffix != ".py" or not path.is_file():
        raise InputError(f"classifier: expected FILE.py:NAME of a file that exists, got '{where}'")
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
    except Exception as error:
        raise InputError(f"classifier: {path} fails: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.parent))
    if not callable(classifier) or not hasattr(classifier, "names"):
        raise InputError(f"classifier: expected {name} of {path} to have names and to be callable")
    return classifier
