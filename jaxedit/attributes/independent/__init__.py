"""Independent networks, which only measure: axes are not learned from their labels."""
