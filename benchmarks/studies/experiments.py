"""The three experiments of Open-RS in the small: what its rewards do to accuracy and length."""

from benchmarks.studies.study import Arm, Study

CAP = 48
"""Tokens; the paper's 3584 against answers of about 2000. The toy's have 28, in 50 characters."""

ACCURACY = ("scorer.weights.accuracy=2.0",)
COSINE = (
    "scorer.weights.accuracy=0.0",
    "scorer.weights.cosine=2.0",
    f"scorer.cosine.max_length={CAP}",
)
SHIPPED = (
    "scorer.cosine.unit=characters",
    "scorer.cosine.clamp=false",
    "scorer.cosine.incorrect=[0.0, -0.5]",
)

STUDIES = (
    Study(
        "experiments",
        "The three experiments of Open-RS, in the small",
        (
            "preset=open_rs",
            "learner.steps=100",
            "learner.groups_per_step=12",
            "learner.group_size=6",
            "learner.max_staleness=2",
            "learner.lr=3e-4",
            "learner.warmup_steps=10",
            "learner.schedule=cosine",
            "learner.checkpoint_every=1000",
            "sampler.temperature=0.7",
            "sampler.max_sequences=216",
            f"sampler.max_tokens={CAP}",
            "scorer.format=one_think_end",
            "scorer.weights.format=1.0",
            "evaluation.every=25",
            "evaluation.greedy=false",
            "evaluation.problems=128",
        ),
        arms=(
            Arm("1 accuracy, longer", (*ACCURACY, "sampler.max_tokens=96")),
            Arm("2 accuracy", ACCURACY),
            Arm("3 cosine as shipped", (*COSINE, *SHIPPED)),
            Arm("3 cosine corrected", COSINE),
        ),
        more=(Arm("accuracy without format", (*ACCURACY, "scorer.weights.format=0.0")),),
    ),
)
