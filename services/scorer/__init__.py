"""Rollouts in, scores out. Open `loop.py` first."""
