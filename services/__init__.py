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
meet only in Redis. `supervisor` starts them on one machine, `monitor` looks at a run, `toy` is the
embedded task.
"""
