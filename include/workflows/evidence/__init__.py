"""What is measured of a candidate: its journey comes in, evidence for the gates goes out. Nothing here judges."""
