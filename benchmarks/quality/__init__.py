"""Quality of axes, edits and projections."""
