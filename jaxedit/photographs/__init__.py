"""Photographs by the folder: edited or read in one resumable run, with a table and a page."""
