"""Two-leg execution as a pure process: an intent, reports of the venue, quotes and time in; orders to send out."""
