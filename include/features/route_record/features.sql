-- One row per route and day: the air time of what had landed before the day began. Air times are whole minutes, so the sums are
-- exact in any order and a day computed alone equals the same day computed in bulk.
WITH days AS (
    SELECT unnest(generate_series(interval_.start, interval_."end" - INTERVAL 1 DAY, INTERVAL 1 DAY)) AS day
    FROM interval_
)
SELECT
    flights.origin,
    flights.dest,
    sum(arrivals.air_time_minutes) FILTER (WHERE arrivals.recorded_at >= days.day - INTERVAL 2 DAY)
    / nullif(count(*) FILTER (WHERE arrivals.recorded_at >= days.day - INTERVAL 2 DAY), 0) AS mean_air_time_48h,
    sum(arrivals.air_time_minutes) / count(*) AS mean_air_time_7d,
    days.day AS event_time,
    days.day AS available_time
FROM days
JOIN arrivals ON arrivals.recorded_at >= days.day - INTERVAL 7 DAY AND arrivals.recorded_at < days.day
JOIN flights ON flights.flight_id = arrivals.flight_id
GROUP BY flights.origin, flights.dest, days.day
