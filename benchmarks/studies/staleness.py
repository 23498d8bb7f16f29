"""What stale data does to learning, and what corrects for it."""

from benchmarks.studies.study import Arm, Study

GROUPS, GROUP_SIZE = 8, 8

CORRECTIONS = {
    "none": ("algorithm.loss=reinforce",),
    "clip": ("algorithm.loss=clip",),
    "cispo": ("algorithm.loss=cispo",),
}


def _arm(bound: int, correction: str) -> Arm:
    # So many in flight that their age nears the bound: what is issued comes back as it was issued
    in_flight = (bound + 1) * GROUPS * GROUP_SIZE
    settings = (f"learner.max_staleness={bound}", f"sampler.max_sequences={in_flight}")
    return Arm(f"S={bound} {correction}", (*settings, *CORRECTIONS[correction]))


STUDIES = (
    Study(
        "staleness",
        "Staleness and its correction",
        (
            "learner.steps=60",
            f"learner.groups_per_step={GROUPS}",
            f"learner.group_size={GROUP_SIZE}",
            "learner.lr=3e-4",
            "learner.checkpoint_every=100",
            "sampler.kv_cache_mib=1024",
            "evaluation.every=15",
            "evaluation.greedy=false",
            "evaluation.problems=128",
        ),
        # At S=0 every ratio is 1: the corrections are the same
        arms=(_arm(0, "none"), *(_arm(s, c) for s in (2, 8, 16) for c in CORRECTIONS)),
        panels=tuple(
            (f"at most {s} steps", ("S=0 none", *(f"S={s} {c}" for c in CORRECTIONS)))
            for s in (2, 8, 16)
        ),
    ),
)
