"""Encoders by name or by folder. Apart from the registry, since an edit of a seed needs nothing of inversion."""

from pathlib import Path

from jaxedit.errors import InputError
from jaxedit.generators.protocol import Generator
from jaxedit.inversion.encoder import Encoder
from jaxedit.pretrained.known_generators import KNOWN_GENERATORS, data_path
from jaxedit.storage.atomic import recover
from jaxedit.storage.paths import as_path


def load_encoder(name: str | Path, generator: Generator | None = None) -> Encoder:
    """Load an encoder from images to latents of W+.

    Args:
        name: a known generator, whose encoder ships with the package; or a folder of `jaxedit train-encoder`.
        generator: whose latents it shall find; with it the encoder is checked against its weights and shape.

    Raises:
        InputError: if the name is neither known nor a folder, or the encoder is of another generator.
        CheckpointError: if the folder is damaged, foreign or newer.
        DownloadError: if AlexNet, whose features it takes, cannot be fetched (64 MB once).

    Examples:
        >>> import jaxedit
        >>> encoder = jaxedit.load_encoder("mobile-stylegan-ffhq")
        >>> encoder.config.num_ws, encoder.config.w_dim
        (16, 512)
    """
    recover(name)
    if str(name) in KNOWN_GENERATORS:
        encoder = Encoder.load_file(data_path(KNOWN_GENERATORS[str(name)].encoder))
    elif as_path(name).exists():
        encoder = Encoder.load(name)
    else:
        raise InputError(
            f"encoder {str(name)!r}: expected one of {', '.join(KNOWN_GENERATORS)}, or a folder of an encoder"
        )
    if generator is not None:
        encoder.check_generator(generator, name=f"encoder {str(name)!r}")
    return encoder
