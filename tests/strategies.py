"""Random messages, for property tests."""

from dataclasses import replace

from hypothesis import strategies as st

from openrs_core.wire.messages import (
    Completion,
    PolicyRun,
    Prompt,
    RolloutGroup,
    Sampling,
    Score,
    ScoredGroup,
    WeightsManifest,
    WeightsTaken,
)

names = st.text(min_size=1, max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**40)
token_ids = st.lists(st.integers(0, 2**31 - 1), max_size=12).map(tuple)

samplings = st.builds(
    Sampling,
    temperature=st.floats(0, 2),
    max_tokens=st.integers(1, 10**6),
    group_size=st.integers(1, 64),
    top_p=st.floats(0, 1, exclude_min=True),
    seed=st.none() | st.integers(0, 2**40),
)
prompts = st.builds(
    Prompt,
    group_id=names,
    prompt_id=names,
    position=counts,
    purpose=st.sampled_from(["train", "eval"]),
    incarnation=counts,
    issued_version=counts,
    issued_at=finite,
    token_ids=token_ids,
    thought_open=st.booleans(),
    problem=st.text(max_size=20),
    answer=st.text(max_size=20),
    sampling=samplings,
)


@st.composite
def completions(draw: st.DrawFn) -> Completion:
    """The three per-token fields agree about how many tokens there are."""
    runs = draw(
        st.lists(
            st.builds(PolicyRun, incarnation=counts, version=counts, count=st.integers(1, 5)),
            max_size=4,
        )
    )
    tokens = sum(run.count for run in runs)
    ids = st.lists(st.integers(0, 2**31 - 1), min_size=tokens, max_size=tokens)
    logprobs = st.lists(
        st.floats(max_value=0, allow_infinity=False, width=32), min_size=tokens, max_size=tokens
    )
    return Completion(
        token_ids=tuple(draw(ids)),
        behaviour_logprobs=tuple(draw(logprobs)),
        policies=tuple(runs),
        finish_reason=draw(st.sampled_from(["stop", "length"])),
        text=draw(st.text(max_size=30)),
    )


@st.composite
def rollout_groups(draw: st.DrawFn) -> RolloutGroup:
    """As many completions as were asked for, or none and a reason."""
    prompt, failure = draw(prompts), draw(st.text(max_size=10))
    drawn = () if failure else tuple(draw(st.lists(completions(), min_size=1, max_size=3)))
    sampling = Sampling(temperature=1.0, max_tokens=20, group_size=len(drawn) or 1)
    prompt = replace(prompt, sampling=sampling)
    return RolloutGroup(prompt=prompt, completions=drawn, sampler=draw(names), failure=failure)


rewards = st.floats(-1e6, 1e6)
scores = st.builds(
    Score,
    reward=rewards,
    components=st.dictionaries(names, rewards, max_size=3),
    verdict=st.sampled_from(["correct", "incorrect", "no_answer", "timeout", "error"]),
    language=st.floats(0, 1),
)


@st.composite
def scored_groups(draw: st.DrawFn) -> ScoredGroup:
    """One score per completion."""
    rollout = draw(rollout_groups())
    size = len(rollout.completions)
    found = draw(st.lists(scores, min_size=size, max_size=size))
    return ScoredGroup(rollout=rollout, scores=tuple(found))


forms = st.sampled_from(["named", "delta", "snapshot"])
manifests = st.builds(
    WeightsManifest,
    incarnation=counts,
    version=counts,
    form=forms,
    digest=names,
    base=st.text(max_size=10),
    payload=counts,
    oldest_payload=counts,
    head=st.binary(max_size=20),
    size=counts,
    checksums=st.lists(names, max_size=3).map(tuple),
    whole_size=counts,
    values=counts,
    published_at=finite,
    seconds=finite,
)
notes = st.builds(
    WeightsTaken,
    sampler=names,
    incarnation=counts,
    version=counts,
    form=forms,
    size=counts,
    fetch_seconds=finite,
    apply_seconds=finite,
    delay_seconds=finite,
)
