"""What the processes of openrs share; light enough to import anywhere (no torch, no vllm).

Bottom to top, each module leaning only on those before it:

    errors      every exception, and who it is for
    fields      what each field of a message may hold
    messages    what travels between processes      keys        every Redis name
    recipe      everything that decides a run       metrics     every Prometheus metric
    log         one log format                      memory      what is done with freed memory
    address     where Redis is, and what proves     background  a thread beside a loop
                that we may use it
    ledger      every issued group and how it ended (pure)
    codec       messages <-> bytes                  connection  how a process reaches Redis
    recipe_file recipes read from TOML              letters     dead letters, bounded
    fence       what an earlier life of the learner may no longer write
    run         what the processes of a run agree on
    lease       one learner at a time
    claims      what a consumer has in hand
    queue       Redis streams as a work queue
    weights     the weight channel
    lifecycle   signals, exit codes
"""

__version__ = "0.1.0"
