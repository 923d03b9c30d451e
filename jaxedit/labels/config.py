"""The config of a labeling."""

import dataclasses

from jaxedit.errors import InputError


@dataclasses.dataclass(frozen=True)
class LabelingConfig:
    """The latents that `label` labels, and the sizes of batches and files.

    Attributes:
        num_samples: how many latents: the first ones of the seed's stream (see `sample_z`). A folder that is complete
            can be extended by asking for more.
        seed: of the stream, 0 … 2³² − 1.
        batch_size: latents rendered and classified at once: 8 suits a CPU, 32 and more an accelerator.
        shard_size: latents of one file, a multiple of `batch_size`. An interrupted run loses at most one such file's
            work.

    Raises:
        InputError: if a number is out of range, or the shard size is no multiple of the batch size.
    """

    num_samples: int
    seed: int = 0
    batch_size: int = 8
    shard_size: int = 256

    def __post_init__(self) -> None:
        for name in ("num_samples", "batch_size", "shard_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, got {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed: expected 0…{2**32 - 1}, got {self.seed}")
        if self.shard_size % self.batch_size:
            raise InputError(
                f"shard_size: expected a multiple of the batch size {self.batch_size}, got {self.shard_size}"
            )

    @property
    def shards(self) -> list[range]:
        """The numbers of the latents of each shard."""
        starts = range(0, self.num_samples, self.shard_size)
        return [range(start, min(start + self.shard_size, self.num_samples)) for start in starts]
