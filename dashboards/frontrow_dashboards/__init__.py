"""Panels for people: static pages and their catalogues."""
