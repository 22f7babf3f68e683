"""Attacks on vqa by seeded, repeatable damage: see docs/reliability.md."""
