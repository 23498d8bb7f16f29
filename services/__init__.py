"""The processes of openrs.

    learner ──prompts──► sampler ──rollouts──► scorer ──scored──► learner
       └──────────────── weights: sparse deltas ──►┘ (to the sampler)

             consumes   waits for                unblocked by      hands on
    sampler  prompts    a prompt, a free slot,   learner issuing   rollouts (forward: one script)
                        a prompt's weights       or publishing
    scorer   rollouts   a rollout, a verifier    sampler           scored groups (forward)
    learner  scored     a step's worth of groups scorer            weights, then prompts; acks
                                                                   what a checkpoint covers

Each has a `loop.py` whose `run` is the first thing to read. They never import one another: they
meet only in Redis. Top to bottom:

    cli          the `openrs` command
    supervisor   `openrs up`: starts the processes on one machine
    exporter     `openrs export`: a model for others, with what its evaluations found
    learner, sampler, scorer; evaluator says what samples come to; curator makes data sets;
                 monitor looks at a run from outside
    issuing      what a client of the ring needs; learner, evaluator and curator are
    model        where a model is, what it weighs
    toy          the embedded task
"""
