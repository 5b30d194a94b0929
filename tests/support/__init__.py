"""Fakes that work, and real servers, shared by the tests."""
