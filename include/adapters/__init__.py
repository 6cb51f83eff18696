"""One outside system each; adapters never import one another."""
