"""A laboratory for retraining policies: combinations of parts, over made worlds and real streams, against a cron."""
