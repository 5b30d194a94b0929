"""The lead centre over its real database."""
