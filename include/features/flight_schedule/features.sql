-- One row per scheduled flight, from what the timetable said a week ahead. The local clock is the airport's own: travellers and
-- crews live by it, and it keeps its meaning through both clock changes.
SELECT
    flights.flight_id,
    flights.carrier,
    flights.origin,
    flights.dest,
    flights.distance_miles,
    flights.block_minutes,
    flights.local_hour * 60 + flights.local_minute AS departure_minute_of_day,
    flights.local_weekday AS weekday,
    year(flights.scheduled_departure) - planes.year AS plane_age_years,
    planes.seats AS plane_seats,
    flights.scheduled_departure AS event_time,
    flights.published_at AS available_time
FROM flights
LEFT JOIN planes ON planes.tailnum = flights.tailnum
CROSS JOIN interval_
WHERE flights.scheduled_departure >= interval_.start AND flights.scheduled_departure < interval_."end"
