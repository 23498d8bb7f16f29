"""What keeps a run up: a plain one that breaks, and single remedies."""

from benchmarks.studies.study import Arm, Study

PLAIN = (
    "algorithm.loss=clip",
    "algorithm.clip_high=0.2",
    "algorithm.dual_clip=0",
    "algorithm.aggregation=group",
    "learner.spike_factor=0",
    "learner.groups_per_step=4",
    "learner.group_size=6",
    "learner.max_staleness=4",
    "learner.lr=1.5e-3",
    "learner.warmup_steps=60",
    "learner.checkpoint_every=1000",
    "sampler.max_tokens=40",
    "evaluation.greedy=false",
    "evaluation.problems=128",
)
"""As Open-RS: a small batch, a symmetric clip, means per group, a long warm-up, no guard. The rate
it warms up to is fifteen times what suits the toy, so that it breaks in 100 steps, not in 200."""

STABLE = (
    "algorithm.loss=cispo",
    "algorithm.aggregation=token",
    "algorithm.advantage_scale=batch",
    "learner.spike_factor=10",
    "learner.max_grad_norm=0.5",
    "learner.groups_per_step=16",
    "learner.group_size=8",
    "scorer.weights.overlong=0.5",
    "scorer.overlong.share=0.25",
)
"""The options of recipes/open_rs_stable.toml, with half its groups."""

CURRICULUM = ("curriculum.enabled=true", "curriculum.keep=0")
KEPT = ("curriculum.enabled=true", "curriculum.keep=0.2")
SLOW = ("learner.lr=1e-4", "learner.groups_per_step=8")
"""The rate that suits the toy."""

ARMS = (
    Arm("plain"),
    Arm("no staleness", ("learner.max_staleness=0",)),
    Arm("cispo", ("algorithm.loss=cispo",)),
    Arm("sequence ratio", ("algorithm.ratio_level=sequence",)),
    Arm("OPSM 0.5", ("algorithm.opsm_delta=0.5",)),
    Arm("deviation of the batch", ("algorithm.advantage_scale=batch",)),
    Arm("KL 0.04", ("algorithm.kl_weight=0.04",)),
    Arm("KL 0.04, reset", ("algorithm.kl_weight=0.04", "algorithm.reference_reset_every=25")),
    Arm("entropy 0.01", ("algorithm.entropy_weight=0.01",)),
    Arm("gradient norm 0.1", ("learner.max_grad_norm=0.1",)),
    Arm("skip spikes", ("learner.spike_factor=10",)),
    Arm("rate a third", ("learner.lr=5e-4",)),
    Arm("16 groups", ("learner.groups_per_step=16",)),
    Arm("groups of 24", ("learner.group_size=24",)),
)

MORE = (
    Arm("KL 0.2", ("algorithm.kl_weight=0.2",)),
    Arm("clip higher", ("algorithm.clip_high=0.28",)),
    Arm("dual clip 4", ("algorithm.dual_clip=4",)),
    Arm("mean over tokens", ("algorithm.aggregation=token",)),
    Arm("no deviation", ("algorithm.advantage_scale=none",)),
    Arm("overlong 0.5", ("scorer.weights.overlong=0.5", "scorer.overlong.share=0.25")),
    Arm("truncated masked", ("algorithm.truncated=masked",)),
    Arm("80/20", ("algorithm.top_entropy_share=0.2",)),
    Arm("adaptive entropy", ("algorithm.entropy_target=0.2",)),
    Arm("curriculum", ("curriculum.enabled=true",)),
    Arm("k3 with ratio", ("algorithm.kl_weight=0.04", "algorithm.kl_with_ratio=true")),
    Arm("length 24, 32, 40", ("length.first=24", "length.factor=1.3", "length.below=0.1")),
)

PANELS = (
    ("corrections", ("plain", "no staleness", "cispo", "sequence ratio", "OPSM 0.5")),
    (
        "the gradient",
        ("plain", "deviation of the batch", "gradient norm 0.1", "skip spikes", "rate a third"),
    ),
    ("anchors", ("plain", "KL 0.04", "KL 0.04, reset", "entropy 0.01")),
    ("more completions", ("plain", "16 groups", "groups of 24")),
)

STUDIES = (
    Study(
        "stabilisers",
        "What keeps a run up",
        (*PLAIN, "learner.steps=100", "evaluation.every=25"),
        arms=ARMS,
        more=MORE,
        panels=PANELS,
    ),
    Study(
        "long",
        "The options of the recommended recipe, over 600 steps",
        (*PLAIN, "learner.steps=600", "evaluation.every=100"),
        arms=(
            Arm("recommended at 3e-5", (*STABLE, "learner.lr=3e-5", "learner.groups_per_step=8")),
            Arm("with curriculum", (*STABLE, *CURRICULUM, *SLOW)),
            Arm("with curriculum at 5e-4", (*STABLE, *CURRICULUM, "learner.lr=5e-4")),
            Arm("with curriculum at 1.5e-3", (*STABLE, *CURRICULUM)),
            Arm("with a fifth kept", (*STABLE, *KEPT, *SLOW)),
        ),
        more=(
            Arm("recommended at 1e-4", (*STABLE, *SLOW)),
            Arm("plain at 1e-4", ("learner.lr=1e-4",)),
        ),
        seeds=(0,),
        limit_seconds=1800.0,
    ),
)
