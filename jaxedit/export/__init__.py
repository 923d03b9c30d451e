"""Generators and edits that run without this library."""
