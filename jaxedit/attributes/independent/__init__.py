"""Independent networks, which only measure: axes are not learnt from their labels."""
