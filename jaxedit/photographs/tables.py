"""Tables of photographs: CSV that spreadsheets open, with names in any script."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jaxedit.storage.atomic import write_atomically


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Path:
    """Write a table as CSV in UTF-8, with a mark by which spreadsheets know the encoding.

    Args:
        path: the file.
        rows: column → value; absent values and None are empty.
        columns: in the order of the table.

    Raises:
        OutputError: if the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell_text(row.get(column)) for column in columns])
    return write_atomically(path, text.getvalue().encode("utf-8-sig"))


def cell_text(value: Any) -> str:
    """A value as it stands in a table: numbers with four digits."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return shown_name(str(value))


def shown_name(name: str | Path) -> str:
    """A name of a file for people. Bytes that are no UTF-8 become replacement characters."""
    return os.fsencode(str(name)).decode("utf-8", "replace")


def address(*parts: str) -> str:
    """A relative address of a file for a page."""
    return "/".join(quote(os.fsencode(part)) for part in parts)
