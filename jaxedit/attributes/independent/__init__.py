"""Independent networks, which only judge: no axis is learnt from them."""
