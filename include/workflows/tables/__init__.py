"""Files that anyone hands in, outside of any journey. In: one or two tables and what their columns mean. Out: drift,
performance, or verdicts of gates, and what was not judged."""
