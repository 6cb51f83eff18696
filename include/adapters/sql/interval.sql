-- The one-row table that features.sql and label.sql may read to learn their interval.
SELECT $start::TIMESTAMPTZ AS start, $end::TIMESTAMPTZ AS "end"
