-- Late: the flight arrived 15 minutes or more after its timetable said. Known when it landed. A cancelled or diverted flight never
-- arrives, so it never has a label.
SELECT
    arrivals.flight_id,
    CASE WHEN arrivals.arr_delay_minutes >= 15 THEN 'late' ELSE 'on_time' END AS label,
    arrivals.scheduled_departure AS event_time,
    arrivals.recorded_at AS available_time
FROM arrivals
