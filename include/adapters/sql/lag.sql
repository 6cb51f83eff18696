-- Whether every row became available equally long after its event; NULL for a history without rows.
SELECT min(available_time - event_time) = max(available_time - event_time) AS constant FROM history
