"""The composition root: configuration → objects → run. It alone knows every room of the house."""
