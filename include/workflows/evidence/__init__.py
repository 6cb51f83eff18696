"""What is measured of a candidate, before anyone judges it. In: a candidate, its champion and their rows. Out:
figures that a gate can judge."""
