-- The newest row of `history` that was available at each request, for a history in which every row becomes available
-- equally long after its event: then the latest available_time is the latest event_time too, and one ASOF join is exact.
--
-- requests: row, key, asked_at. history: key, available_time, event_time, then the features.
WITH answered AS (
    SELECT requests.slipway_row AS asked_row, requests.asked_at, history.*
    FROM requests ASOF JOIN history
      ON requests.slipway_key = history.slipway_key AND requests.asked_at >= history.available_time
)
SELECT requests.slipway_row, answered.* EXCLUDE (asked_row, asked_at, slipway_key, available_time, event_time)
FROM requests LEFT JOIN answered
  ON requests.slipway_row = answered.asked_row AND answered.event_time > answered.asked_at - $ttl::INTERVAL
ORDER BY requests.slipway_row
