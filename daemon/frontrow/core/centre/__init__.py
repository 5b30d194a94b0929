"""The lead centre's decisions: from a hot viewer to a deal. Pure: no I/O, no clock, no database."""
