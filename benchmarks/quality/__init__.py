"""How good: edits, axes and projections, measured in images."""
