"""How to spend the completions of a step: more of a group, or more groups."""

from benchmarks.studies.study import Arm, Study

COMPLETIONS = 128


def _arm(group_size: int) -> Arm:
    groups = COMPLETIONS // group_size
    settings = (f"learner.groups_per_step={groups}", f"learner.group_size={group_size}")
    return Arm(f"{groups} groups of {group_size}", settings)


STUDIES = (
    Study(
        "shapes",
        "Group size and groups per step, at 128 completions a step",
        (
            "learner.steps=40",
            "learner.max_staleness=2",
            "learner.checkpoint_every=100",
            "sampler.max_sequences=256",
            "evaluation.every=10",
            "evaluation.greedy=false",
            "evaluation.problems=128",
        ),
        arms=tuple(map(_arm, (4, 8, 16))),
        more=tuple(map(_arm, (2, 32))),
    ),
)
