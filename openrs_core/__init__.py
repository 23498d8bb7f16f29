"""What the processes of openrs share; light enough to import anywhere (no torch, no vllm).

Bottom to top, each leaning only on those before it:

    errors      every exception, and who it is for
    background  a thread beside a loop              memory      what is done with freed memory
    log         one log format                      metrics     every Prometheus metric
    ledger      every issued group and how it ended (pure)
    wire/       what travels: messages, their fields, their bytes
    recipe/     everything that decides a run, one file for each section
    ring/       all that talks to Redis             record/     what a run leaves on disk
    weights/    the weight channel
    lifecycle   signals, exit codes
"""

__version__ = "0.1.0"
