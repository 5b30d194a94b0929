"""The heart: events in, effects out. No I/O, no clock, no task; time and randomness are arguments."""
