import jax.numpy as jnp
import numpy as np
import pytest

import jaxedit
from jaxedit.attributes.user_classifier import check_classifier, load_classifier
from jaxedit.errors import InputError
from tests.inversion.small_generator import small_generator

FILE = """
import jax.numpy as jnp

class Colors:
    names = ("light", "contrast")
    def __call__(self, images):
        return jnp.stack([images.mean((1, 2, 3)), images.std((1, 2, 3))], 1)

class Broken(Colors):
    def __call__(self, images):
        return helper(images)

def helper(images):
    return images.mean((1, 2, 3)) @ jnp.ones((7, 2))

nothing = 3

def fails():
    raise KeyError("no weights")
"""


def of(names, call):
    return type("Own", (), {"names": names, "__call__": lambda self, images: call(images)})()


@pytest.fixture
def file(tmp_path):
    (tmp_path / "own.py").write_text(FILE)
    return tmp_path / "own.py"


def test_a_classifier_that_fits(file):
    classifier = load_classifier(f"{file}:Colors")
    check_classifier(classifier, small_generator())
    assert classifier.names == ("light", "contrast")


def test_a_classifier_that_fails_shows_its_own_last_lines(file):
    with pytest.raises(InputError, match=r"^your classifier failed: TypeError: ") as error:
        check_classifier(load_classifier(f"{file}:Broken"), small_generator())
    message = str(error.value)
    assert "own.py:11: return helper(images) → own.py:14: return images.mean((1, 2, 3)) @" in message
    assert "\n" not in message and len(message) < 600
    with pytest.raises(InputError, match=r"own\.py fails: KeyError: 'no weights' \(at own\.py:19: raise"):
        load_classifier(f"{file}:fails")


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (of(("a", "b"), lambda x: x.mean((1, 2, 3))[:, None]), r"floats \[2, 2\].* got \[2, 1\] of float32"),
        (of(("a",), lambda x: x.mean((1, 2, 3))), r"floats \[2, 1\].* got \[2\]"),
        (of(("a",), lambda x: (x.mean((1, 2, 3)) > 0)[:, None]), "got .* of bool"),
        (of(("a",), lambda x: (x,)), "got tuple"),
        (of(("a", "a"), lambda x: x[:, 0, 0, :2]), "each name once, got 'a' twice"),
        (of("age", lambda x: x), "a tuple of texts, got 'age'"),
        (of((), lambda x: x), "names"),
        (of(("a",), lambda x: np.asarray(x)), "your classifier failed: TracerArrayConversionError"),
    ],
)
def test_results_that_do_not_fit_the_names(classifier, message, tmp_path):
    with pytest.raises(InputError, match=message):
        check_classifier(classifier, small_generator())
    # Before anything is rendered or written.
    with pytest.raises(InputError, match=message):
        jaxedit.label(
            small_generator(),
            classifier,
            tmp_path / "labels",
            jaxedit.LabelingConfig(num_samples=4, batch_size=2, shard_size=4),
            generator_name="small",
        )
    assert not (tmp_path / "labels").exists()


def test_wrong_files_are_refused_in_one_line(file, tmp_path):
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "exits.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "zeros.py").write_bytes(bytes(100))
    (tmp_path / "folder.py").mkdir()
    for where, message in [
        (f"{tmp_path}/absent.py:X", "expected a Python file with a classifier, found nothing"),
        (f"{tmp_path}/folder.py:X", "found a folder"),
        (f"{tmp_path}/own.txt:X", r"ends in \.py"),
        (f"{file}", "expected FILE.py:NAME"),
        (f"{file}:", "expected FILE.py:NAME"),
        (f"{file}:Absent", "found no such name"),
        (f"{file}:nothing", "to have names and to be callable"),
        (f"{tmp_path}/broken.py:X", "fails: SyntaxError"),
        (f"{tmp_path}/exits.py:X", "fails: SystemExit: 3"),
        (f"{tmp_path}/zeros.py:X", "fails: (SyntaxError|ValueError)"),
    ]:
        with pytest.raises(InputError, match=message) as error:
            load_classifier(where)
        assert "\n" not in str(error.value)


def test_values_stay_as_they_are(file):
    images = jnp.linspace(-1, 1, 2 * 64 * 64 * 3).reshape(2, 64, 64, 3)
    assert load_classifier(f"{file}:Colors")(images).shape == (2, 2)
