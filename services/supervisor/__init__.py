"""`openrs up`: the whole ring on this machine. Open `main.py` first."""
