"""Face networks and what they measure."""
