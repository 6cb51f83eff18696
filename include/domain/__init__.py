"""Pure decisions: intervals, gates, verdicts, drift, comparison, lifecycle, retrain policy. No outside system, no
clock."""
