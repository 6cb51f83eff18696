-- One row per airport and hour, as the weather station reported it an hour later.
SELECT
    weather.origin,
    weather.temp,
    weather.dewp,
    weather.humid,
    weather.wind_dir,
    weather.wind_speed,
    weather.wind_gust,
    weather.precip,
    weather.pressure,
    weather.visib,
    weather.observed_at AS event_time,
    weather.recorded_at AS available_time
FROM weather
CROSS JOIN interval_
WHERE weather.observed_at >= interval_.start AND weather.observed_at < interval_."end"
