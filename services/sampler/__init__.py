"""Prompts in, completions out, always under the newest published policy. Open `loop.py` first."""
