"""Scored groups in, new policies out. Open `loop.py` first."""
