"""Learning the curves of the axes through images."""
