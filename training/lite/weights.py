"""The weights that ship, as they were before they were brought to integers: training goes on from these."""

from pathlib import Path

FLOATING = Path(__file__).with_name("floating.safetensors")
