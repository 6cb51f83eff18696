"""What is told, to whom, and whether it arrived. In: failures, silences and notices. Out: one outage per cause, and
messages that are sent until they arrive."""
