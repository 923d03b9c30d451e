"""Generators and axes from and to the Hugging Face hub, or a folder in its layout.

The package `huggingface-hub` (extra `hub`) moves the files; folders need no extra. Three kinds of files alone are
fetched: the config, the arrays and the model card. `HF_ENDPOINT` names another hub, `HF_TOKEN` holds the token.
"""

import importlib.util
import re
import tempfile
from pathlib import Path
from typing import Any

from jaxedit.axes.attribute_axes import AttributeAxes
from jaxedit.errors import CheckpointError, DownloadError, InputError, OutputError
from jaxedit.pretrained.hub_folder import AXES_FILE, CARD_FILE, is_axes_folder, save_pretrained
from jaxedit.pretrained.model_card import CardDetails
from jaxedit.pretrained.registry import AnyGenerator, load_axes, load_generator
from jaxedit.storage.paths import as_path
from weights_conversion.safetensors_folder import CONFIG_FILE, MODEL_FILE

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_FILES = [CONFIG_FILE, MODEL_FILE, AXES_FILE, CARD_FILE]


def from_pretrained(
    name_or_folder: str | Path, *, revision: str | None = None
) -> AnyGenerator | AttributeAxes:
    """Load a generator or axes from the Hugging Face hub or a folder of `save_pretrained`.

    Args:
        name_or_folder: a folder, or OWNER/NAME on the hub.
        revision: a branch, tag or commit on the hub; by default its main branch.

    Raises:
        InputError: if it is neither, or the package `huggingface-hub` is missing.
        DownloadError: if the hub cannot be reached, or has no such model.
        CheckpointError: if the files are damaged, foreign or newer.

    Examples:
        >>> import jaxedit
        >>> axes = jaxedit.load_axes("mobile-stylegan-ffhq")
        >>> folder = jaxedit.save_pretrained(axes, "axes-to-share")
        >>> jaxedit.from_pretrained(folder).attribute_names == axes.attribute_names
        True
    """
    folder = as_path(name_or_folder)
    if not folder.exists():
        folder = _fetched(str(name_or_folder), revision)
    elif revision is not None:
        raise InputError(f"revision: expected none for a folder, got {revision!r}")
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: expected a folder of `save_pretrained`, found a file")
    if is_axes_folder(folder):
        return load_axes(folder)
    if not (folder / CONFIG_FILE).is_file() or not (folder / MODEL_FILE).is_file():
        raise CheckpointError(
            f"{name_or_folder}: expected {CONFIG_FILE} with {MODEL_FILE} or {AXES_FILE}, found neither; "
            "`load_generator` and `load_axes` read the checkpoint folders of this library"
        )
    return load_generator(folder)


def push_to_hub(
    model: AnyGenerator | AttributeAxes,
    name: str,
    details: CardDetails | None = None,
    *,
    private: bool = True,
    message: str | None = None,
) -> str:
    """Put a generator or axes onto the Hugging Face hub, with a model card.

    Args:
        model: a generator of `load_generator`, or `AttributeAxes`.
        name: OWNER/NAME. The repository is made if it does not exist.
        details: licence and labels in words, for the card.
        private: whether a repository that is made is private.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        InputError: if the name is no name, the model is something else, or the package `huggingface-hub` is missing.
        OutputError: if the hub cannot be reached, or refuses.
    """
    if not _REPOSITORY.fullmatch(name):
        raise InputError(f"name: expected OWNER/NAME of the hub, got {name!r}")
    hub = _hub()
    with tempfile.TemporaryDirectory() as temporary:
        folder = save_pretrained(model, Path(temporary) / "model", details)
        try:
            api = hub.HfApi()
            api.create_repo(name, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=name, folder_path=folder, commit_message=message or "Upload by jaxedit"
            )
        except Exception as error:  # of the network below, which has no common base
            raise OutputError(f"{name}: could not put it onto the hub: {_reason(error)}") from error
    return str(commit.commit_url)


def _fetched(name: str, revision: str | None) -> Path:
    """The folder of a model of the hub, in the cache of `huggingface-hub`."""
    if not _REPOSITORY.fullmatch(name):
        raise InputError(
            f"{name!r}: expected a folder, or OWNER/NAME of the hub; `load_generator` and `load_axes` know generators "
            "by name"
        )
    hub = _hub()
    try:
        return Path(hub.snapshot_download(name, revision=revision, allow_patterns=_FILES))
    except Exception as error:
        raise DownloadError(f"{name}: could not be fetched from the hub: {_reason(error)}") from error


def _hub() -> Any:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise InputError(
            "the hub: expected the package huggingface-hub, found none; pip install 'jaxedit[hub]' brings it"
        )
    import huggingface_hub

    return huggingface_hub


def _reason(error: Exception) -> str:
    """The first line of a message that has many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
