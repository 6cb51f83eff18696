-- The newest row of `history` that was available at each request, for a history in which corrections arrive out of order.
--
-- requests: row, key, asked_at. history: key, available_time, event_time, then the features.
-- Of the rows with available_time <= asked_at and event_time > asked_at - ttl, the latest available_time wins, then the
-- latest event_time. An ASOF join alone would stop at the latest available_time even where that row's event is past its
-- ttl; the rows it then hides (`overtaken`) are offered again to the requests left without an answer.
WITH newest AS MATERIALIZED (
    SELECT * FROM history
    QUALIFY row_number() OVER (PARTITION BY slipway_key, available_time ORDER BY event_time DESC) = 1
),
joined AS MATERIALIZED (
    SELECT requests.slipway_row, requests.slipway_key AS asked_key, requests.asked_at, newest.*
    FROM requests ASOF JOIN newest
      ON requests.slipway_key = newest.slipway_key AND requests.asked_at >= newest.available_time
),
fresh AS (
    SELECT * EXCLUDE (asked_key, asked_at) FROM joined WHERE event_time > asked_at - $ttl::INTERVAL
),
expired AS (
    SELECT slipway_row, asked_key, asked_at FROM joined WHERE event_time <= asked_at - $ttl::INTERVAL
),
overtaken AS (
    SELECT * FROM newest
    QUALIFY event_time > min(event_time) OVER (
        PARTITION BY slipway_key ORDER BY available_time ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    )
),
rescued AS (
    SELECT expired.slipway_row, overtaken.*
    FROM expired JOIN overtaken
      ON expired.asked_key = overtaken.slipway_key
     AND overtaken.available_time <= expired.asked_at
     AND overtaken.event_time > expired.asked_at - $ttl::INTERVAL
    QUALIFY row_number() OVER (
        PARTITION BY expired.slipway_row ORDER BY overtaken.available_time DESC, overtaken.event_time DESC
    ) = 1
),
answered AS (
    SELECT * FROM fresh
    UNION ALL
    SELECT * FROM rescued
)
SELECT requests.slipway_row, answered.* EXCLUDE (slipway_row, slipway_key, available_time, event_time)
FROM requests LEFT JOIN answered ON requests.slipway_row = answered.slipway_row
ORDER BY requests.slipway_row
