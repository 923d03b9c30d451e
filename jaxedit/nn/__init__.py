"""Pieces of networks that several models share."""
