-- One row per carrier and hour: how punctual its flights into their destinations were, as far as was known at that hour.
--
-- An arrival counts from the first full hour at or after it was recorded, so an hour's row holds nothing that came later. Delays are
-- whole minutes, so the sums are exact in any order and a day computed alone equals the same day computed in bulk.
WITH landed AS (
    SELECT
        flights.carrier,
        date_trunc('hour', arrivals.recorded_at - INTERVAL 1 MICROSECOND) + INTERVAL 1 HOUR AS hour,
        count(*) AS flights,
        count(*) FILTER (WHERE arrivals.arr_delay_minutes >= 15) AS late,
        sum(arrivals.arr_delay_minutes) AS delay_minutes
    FROM arrivals
    JOIN flights ON flights.flight_id = arrivals.flight_id
    GROUP BY ALL
),
hours AS (
    SELECT unnest(generate_series(start - INTERVAL 7 DAY, "end" - INTERVAL 1 HOUR, INTERVAL 1 HOUR)) AS hour
    FROM interval_
),
grid AS (
    SELECT carriers.carrier, hours.hour
    FROM (SELECT DISTINCT carrier FROM landed) AS carriers
    CROSS JOIN hours
),
so_far AS (
    SELECT
        grid.carrier,
        grid.hour,
        sum(landed.flights) OVER last_7d AS flights_7d,
        sum(landed.late) OVER last_7d AS late_7d,
        coalesce(sum(landed.flights) OVER last_24h, 0) AS flights_24h,
        sum(landed.late) OVER last_24h AS late_24h,
        sum(landed.delay_minutes) OVER last_24h AS delay_minutes_24h
    FROM grid
    LEFT JOIN landed ON landed.carrier = grid.carrier AND landed.hour = grid.hour
    WINDOW
        last_7d AS (PARTITION BY grid.carrier ORDER BY grid.hour ROWS BETWEEN 167 PRECEDING AND CURRENT ROW),
        last_24h AS (PARTITION BY grid.carrier ORDER BY grid.hour ROWS BETWEEN 23 PRECEDING AND CURRENT ROW)
)
SELECT
    so_far.carrier,
    so_far.late_7d / so_far.flights_7d AS late_share_7d,
    so_far.late_24h / nullif(so_far.flights_24h, 0) AS late_share_24h,
    so_far.delay_minutes_24h / nullif(so_far.flights_24h, 0) AS mean_arr_delay_24h,
    so_far.flights_24h,
    so_far.hour AS event_time,
    so_far.hour AS available_time
FROM so_far
CROSS JOIN interval_
WHERE so_far.flights_7d > 0 AND so_far.hour >= interval_.start
