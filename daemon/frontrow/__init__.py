"""Frontrow finds the viewers of a live stream who are about to buy, while the stream is still running."""

__version__ = "0.1.0"
