"""Feeds in and sinks out: one folder each, with the same file names in every folder. See the README beside this."""
