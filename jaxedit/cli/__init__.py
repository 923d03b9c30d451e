"""The command line. Each module of commands parses, calls the library and prints.

JAX is imported inside the commands, so that every help text appears at once.
"""

from jaxedit.cli.app import main
from jaxedit.cli.parsing import named_paths, parse_edits, parse_names, parse_renames

__all__ = ["main", "named_paths", "parse_edits", "parse_names", "parse_renames"]
