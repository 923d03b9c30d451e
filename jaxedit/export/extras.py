"""Packages that an export needs beside the library's own."""

import importlib.util

from jaxedit.errors import InputError


def require(package: str, *, extra: str, use: str) -> None:
    """Raise `InputError` with the install command if a package is missing.

    Args:
        package: the name by which it is imported.
        extra: of this library, that installs it.
        use: what needs it, for the error.
    """
    if importlib.util.find_spec(package) is None:
        raise InputError(
            f"{use}: expected the package {package}, found none; pip install 'jaxedit[{extra}]' brings it"
        )
