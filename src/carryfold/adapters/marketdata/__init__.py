"""What every way of market data into a log shares: field checks, log entries, listings, reports and the writer."""
