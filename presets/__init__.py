"""Bundled presets."""
