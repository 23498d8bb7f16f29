"""The embedded default: a task, a tokenizer and a tiny model that learn on a CPU in minutes.

    task        chain sums ("What is 8+9-4-6?"), their reference answers and demonstrations
    tokenizer   a byte-level BPE with a chat template, trained on the task's own text
    warm_start  two phases of supervised training: first how to think, then the habit of skipping it
    cache       makes all of it once, behind a lock, and remembers it

What it leaves is a model that *can* think but mostly does not; reinforcement learning finds that
thinking pays.
"""
