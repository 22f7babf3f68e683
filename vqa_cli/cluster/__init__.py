"""Ladders on a Ray cluster. Only this package imports Ray, and only where it is used."""
