"""The lead centre's decisions."""
