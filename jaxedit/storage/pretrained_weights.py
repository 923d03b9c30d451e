"""Published weights: fetched, converted once, kept in the cache. The one way to load pretrained networks."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jaxedit.errors import CheckpointError
from jaxedit.storage.cache import cached_checkpoint
from jaxedit.storage.checkpoints import load_checkpoint
from jaxedit.storage.download import Source, fetch

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class PretrainedWeights:
    """Where weights come from, and how they become a checkpoint.

    Attributes:
        kind: of the checkpoint folder.
        source: the file that holds them.
        convert: the path of that file ↦ config and nested dict of arrays.
        layout: raised whenever `convert` gives other names, shapes or numbers.
        name: of the folder in the cache, which the version of the source and the layout follow. None: the kind.
    """

    kind: str
    source: Source
    convert: Callable[[Path], tuple[dict[str, Any], dict[str, Any]]]
    layout: int
    name: str | None = None

    @property
    def cache_name(self) -> str:
        """The checkpoint's name in the cache."""
        return f"{self.name or self.kind}-{self.source.version}-{self.layout}"

    def load(
        self,
        build: Callable[[dict[str, Any], dict[str, Any]], T],
        folder: str | Path | None = None,
        *,
        damage: tuple[type[Exception], ...] = (KeyError,),
    ) -> T:
        """A network with these weights.

        Args:
            build: config and arrays ↦ the network.
            folder: a checkpoint folder of this kind. None: the one in the cache. If that is missing or damaged it is
                made, and the source fetched; of processes that start together one makes it.
            damage: what `build` raises where the checkpoint lacks something.

        Raises:
            DownloadError: if the source cannot be fetched.
            CheckpointError: if `folder` is missing, damaged, or of another kind, or the checkpoint lacks an array.
            OutputError: if the cache cannot be written.
        """
        if folder is None:
            config, arrays = cached_checkpoint(
                self.cache_name, kind=self.kind, make=lambda: self.convert(fetch(self.source))
            )
        else:
            config, arrays = load_checkpoint(folder, kind=self.kind)
        try:
            return build(config, arrays)
        except damage as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise CheckpointError(f"{folder or self.cache_name}: damaged: {reason}") from error
