"""What follows from verdicts. In: verdicts of the required gates. Out: an opened or closed journey, a promotion, a
rollback, and a registry that agrees with the ledger."""
