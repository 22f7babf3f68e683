"""Presets, plans, the pipeline and its cache."""
