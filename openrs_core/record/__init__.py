"""What a run leaves on disk: one writer, one reader.

directory   a run's directory and its files
lines       what a line of `metrics.jsonl` or `samples.jsonl` says, typed
writer      appends lines; the learner is the only one
reader      follows them as they grow, without what a later life has made void
inventory   the list of a checkpoint's files, and what is wrong with them
checkpoint  finding the newest intact checkpoint
"""
