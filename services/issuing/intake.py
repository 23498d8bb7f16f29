"""Is a scored group what was issued? Pure: no clock, no I/O.

A message that decodes is well-formed; that does not make it the answer to a prompt of ours.
"""

from dataclasses import fields

from openrs_core.ledger import Policy
from openrs_core.wire.messages import Completion, Prompt, ScoredGroup


def fault(group: ScoredGroup, issued: Prompt, reached: Policy, vocabulary: int) -> str:
    """Why a group cannot be trained on or evaluated; empty when it can.

    `issued` is the prompt as it was sent.
    """
    came = group.rollout.prompt
    names = [field.name for field in fields(Prompt)]
    if differing := [name for name in names if getattr(came, name) != getattr(issued, name)]:
        return f"not as it was issued: {', '.join(differing)}"
    for completion in group.rollout.completions:
        found = _completion_fault(completion, reached, vocabulary)
        if found := found or _label_fault(completion, issued):
            return found
    return ""


def _completion_fault(completion: Completion, reached: Policy, vocabulary: int) -> str:
    if not completion.token_ids:
        return "a completion without tokens"
    if (largest := max(completion.token_ids)) >= vocabulary:
        return f"token {largest}, the vocabulary has {vocabulary}"
    for run in completion.policies:
        if not _is_known(run.incarnation, run.version, reached):
            return f"policy {run.incarnation}:{run.version} was never published"
    return ""


def _label_fault(completion: Completion, issued: Prompt) -> str:
    """An evaluation is of the policy its prompts were issued under, and of no other."""
    if issued.purpose != "eval":
        return ""
    label = Policy(issued.incarnation, issued.issued_version)
    for run in completion.policies:
        if not label.is_same(Policy(run.incarnation, run.version)):
            return (
                f"policy {run.incarnation}:{run.version} made tokens of an evaluation of policy "
                f"{label.incarnation}:{label.version}"
            )
    return ""


def _is_known(incarnation: int, version: int, reached: Policy) -> bool:
    """Could this policy have been published? How far an earlier life came is not known here."""
    if incarnation == reached.incarnation:
        return version <= reached.version
    return 1 <= incarnation < reached.incarnation
