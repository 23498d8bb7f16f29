"""`openrs curate`: problems in, a data set to train on out. Open `main.py` first."""
