-- One row per airport and hour: what left in the three hours before it, how late, and what should have left and had not.
--
-- A departure counts from the moment it was recorded, so an hour's row holds nothing that came later.
WITH hours AS (
    SELECT origins.origin, unnest(generate_series(interval_.start, interval_."end" - INTERVAL 1 HOUR, INTERVAL 1 HOUR)) AS hour
    FROM interval_
    CROSS JOIN (SELECT DISTINCT origin FROM flights) AS origins
),
left_by_hour AS (
    SELECT hours.origin, hours.hour, count(departures.flight_id) AS departures, avg(departures.dep_delay_minutes) AS mean_delay
    FROM hours
    JOIN departures ON departures.recorded_at >= hours.hour - INTERVAL 3 HOUR AND departures.recorded_at < hours.hour
    JOIN flights ON flights.flight_id = departures.flight_id AND flights.origin = hours.origin
    GROUP BY ALL
),
due_by_hour AS (
    SELECT
        hours.origin,
        hours.hour,
        count(*) AS due,
        count(*) FILTER (WHERE departures.recorded_at IS NULL OR departures.recorded_at >= hours.hour) AS waiting
    FROM hours
    JOIN flights
        ON flights.origin = hours.origin
        AND flights.scheduled_departure >= hours.hour - INTERVAL 3 HOUR
        AND flights.scheduled_departure < hours.hour
    LEFT JOIN departures ON departures.flight_id = flights.flight_id
    GROUP BY ALL
)
SELECT
    hours.origin,
    left_by_hour.mean_delay AS mean_dep_delay_3h,
    coalesce(left_by_hour.departures, 0) AS departures_3h,
    due_by_hour.waiting / due_by_hour.due AS not_departed_share_3h,
    hours.hour AS event_time,
    hours.hour AS available_time
FROM hours
LEFT JOIN left_by_hour ON left_by_hour.origin = hours.origin AND left_by_hour.hour = hours.hour
LEFT JOIN due_by_hour ON due_by_hour.origin = hours.origin AND due_by_hour.hour = hours.hour
