"""Who is notified of what, and whether it arrived. In: failures, silences and notices. Out: one outage per cause, and
messages that are sent until they arrive."""
