"""The version of the library, and the version of the folders it writes."""

__version__ = "0.1.0"
