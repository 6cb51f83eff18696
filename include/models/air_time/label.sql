-- The minutes a flight spent in the air. Known when it landed; a cancelled or diverted flight never has a label.
SELECT
    arrivals.flight_id,
    arrivals.air_time_minutes AS label,
    arrivals.scheduled_departure AS event_time,
    arrivals.recorded_at AS available_time
FROM arrivals
