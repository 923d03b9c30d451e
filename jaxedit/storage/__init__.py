"""Bytes on disk: atomic files, checkpoint folders, downloads, the cache."""
