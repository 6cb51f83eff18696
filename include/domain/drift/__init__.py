"""What changed: reference profiles, input and prediction drift in two keys, confidence sequences, and the drift
report."""
