"""What the steps of one journey share. In: the reference of a journey and the ledger. Out: a step with its right to
write, its folder, and why it was started."""
