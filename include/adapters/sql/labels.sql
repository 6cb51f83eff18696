-- Each request's label, where there is one. The same number of rows comes out unless a label was given twice.
SELECT requests.slipway_row, labels.label, labels.available_time
FROM requests LEFT JOIN labels
  ON requests.slipway_key = labels.slipway_key AND requests.event_time = labels.event_time
ORDER BY requests.slipway_row
