"""Whether a champion still does what it was promoted for. In: its predictions, inputs and matured labels. Out: a
drift report and one decision."""
