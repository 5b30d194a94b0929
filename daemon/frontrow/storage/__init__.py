"""The journal and what commits with it: one SQLite file, one writer, one transaction per commit."""
