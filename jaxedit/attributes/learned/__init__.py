"""Classifiers that are learned from a few marked images: frozen features of regions, and a small head."""
