"""Pages, plots and contact sheets: those of an evaluation, and parts that the demos share."""
