import pytest

from jaxedit.errors import CheckpointError, OutputError, conversion_errors
from jaxedit.storage.cache import cached_checkpoint
from weights_conversion import ConversionError, ExportError


@pytest.mark.parametrize(("foreign", "own"), [(ConversionError, CheckpointError), (ExportError, OutputError)])
def test_errors_of_conversions_keep_their_message_and_their_cause(foreign, own):
    cause = foreign("a.pkl: expected a pickle, found nothing")
    with (
        pytest.raises(own, match=r"^a\.pkl: expected a pickle, found nothing$") as found,
        conversion_errors(),
    ):
        raise cause
    assert type(found.value) is own
    assert found.value.__cause__ is cause


def test_other_errors_pass():
    with pytest.raises(ValueError, match=r"^another$") as found, conversion_errors():
        raise ValueError("another")
    assert type(found.value) is ValueError


def test_what_a_conversion_gives_passes():
    with conversion_errors():
        found = 7
    assert found == 7


def test_a_conversion_for_the_cache_that_fails_is_an_error_of_this_library(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXEDIT_HOME", str(tmp_path))

    def convert():
        raise ConversionError("a.whl: expected a wheel")

    with pytest.raises(CheckpointError, match=r"^a\.whl: expected a wheel$"):
        cached_checkpoint("some-1-1", kind="generator", make=convert)
    assert not (tmp_path / "weights" / "some-1-1").exists()
