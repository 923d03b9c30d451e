"""Pages, plots and sheets of an evaluation."""
