"""Every Prometheus metric of openrs, and the door that serves them.

Each process serves its own (`serve`), labelled by the scraper with its role. Every process exports
every name, but moves only the metrics of its part: select by role.
"""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
_TOKENS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)

# --- every process ------------------------------------------------------------------------------
HEAP = Gauge(
    "openrs_process_heap_bytes",
    "How many bytes of the C heap are in use, or freed and kept for the next allocation",
    ["state"],
)

# --- ring: the learner's ledger and the streams -----------------------------------------------
GROUPS_ISSUED = Counter("openrs_ring_groups_issued", "How many groups were issued")
GROUPS_ENDED = Counter(
    "openrs_ring_groups_ended", "How many groups ended, by how they ended", ["how"]
)
GROUPS_IN_FLIGHT = Gauge("openrs_ring_groups_in_flight", "How many groups are issued and not ended")
GROUP_SECONDS = Histogram(
    "openrs_ring_group_seconds", "How long a group took from issue to collection", buckets=_SECONDS
)
STREAM_DEPTH = Gauge(
    "openrs_ring_stream_depth", "How many messages wait or are worked on, by stage", ["stage"]
)
STALENESS = Histogram(
    "openrs_ring_staleness_steps",
    "How many optimizer steps old the oldest token of a trained group was",
    buckets=(0, 1, 2, 3, 4, 6, 8, 12, 16),
)
REDELIVERED = Counter("openrs_ring_redelivered", "How many messages were taken over from another")
BURIED = Counter("openrs_ring_buried", "How many messages went to the dead letters")
REISSUED = Counter(
    "openrs_ring_groups_reissued", "How many groups were issued again because no trace was left"
)
OUTAGES = Counter("openrs_ring_redis_outages", "How many times Redis was away and came back")
REDIS_FULL = Gauge("openrs_ring_redis_full", "1 while Redis has no memory for more work")

# --- sampler ----------------------------------------------------------------------------------
TOKENS_SAMPLED = Counter("openrs_sampler_tokens", "How many tokens were sampled")
COMPLETIONS = Counter(
    "openrs_sampler_completions", "How many completions were sampled, by why they ended", ["reason"]
)
COMPLETION_TOKENS = Histogram(
    "openrs_sampler_completion_tokens", "How long completions were, in tokens", buckets=_TOKENS
)
SEQUENCES_RUNNING = Gauge("openrs_sampler_sequences", "How many completions are being sampled")
SAMPLER_VERSION = Gauge("openrs_sampler_policy_version", "Which policy version is in force")
WEIGHTS_TAKEN = Histogram(
    "openrs_sampler_weights_seconds",
    "How long taking new weights took, by part",
    ["part"],
    buckets=(0.001, 0.003, *_SECONDS),
)
WEIGHTS_REFUSED = Counter(
    "openrs_sampler_weights_refused", "How many payloads were torn or did not match their digest"
)
SNAPSHOTS_WANTED = Counter(
    "openrs_sampler_snapshots_wanted", "How many times a snapshot was asked for"
)
PROMPTS_HELD = Gauge(
    "openrs_sampler_prompts_held", "How many prompts wait for the weights they were issued under"
)

# --- scorer -----------------------------------------------------------------------------------
VERDICTS = Counter(
    "openrs_scorer_verdicts", "How many verdicts were given, by verdict", ["verdict"]
)
SCORE_SECONDS = Histogram(
    "openrs_scorer_group_seconds", "How long scoring one group took", buckets=_SECONDS
)
VERIFIERS_KILLED = Counter(
    "openrs_scorer_verifiers_killed", "How many verifiers were killed or died"
)

# --- learner ----------------------------------------------------------------------------------
LEARNER_VERSION = Gauge("openrs_learner_policy_version", "How many optimizer steps were made")
STEPS_WANTED = Gauge("openrs_learner_steps_wanted", "How many optimizer steps the run is to make")
STEP_SECONDS = Histogram(
    "openrs_learner_step_seconds", "How long a step took, by part", ["part"], buckets=_SECONDS
)
STEPS_SKIPPED = Counter(
    "openrs_learner_steps_skipped", "How many steps were skipped, by reason", ["reason"]
)
TOKENS_TRAINED = Counter("openrs_learner_tokens", "How many completion tokens were trained on")
REWARD = Gauge("openrs_learner_reward", "Mean reward of the last step's completions")
REWARD_COMPONENT = Gauge(
    "openrs_learner_reward_component", "Mean of one reward component, by its name", ["component"]
)
LENGTH = Gauge("openrs_learner_completion_tokens", "Mean completion length of the last step")
LOSS = Gauge("openrs_learner_loss", "Loss of the last step")
GRAD_NORM = Gauge("openrs_learner_grad_norm", "Gradient norm of the last step, before clipping")
LEARNING_RATE = Gauge("openrs_learner_lr", "Learning rate of the last step")
ENTROPY = Gauge("openrs_learner_entropy_nats", "Mean entropy per token of the last step")
MISMATCH_KL = Gauge(
    "openrs_learner_mismatch_kl_nats", "k3 divergence of learner and behaviour policy, per token"
)
CLIPPED = Gauge(
    "openrs_learner_clipped_ratio",
    "Share of tokens whose ratio was capped or clipped, by the sign of their advantage",
    ["advantage"],
)
OUTSIDE = Gauge(
    "openrs_learner_outside_ratio", "Share of tokens whose importance ratio is outside [0.9, 1.1]"
)
ESS = Gauge(
    "openrs_learner_ess_ratio", "Effective sample size of the last step, as a share of its tokens"
)
GROUPS_SCORED = Counter(
    "openrs_learner_groups_scored",
    "How many groups of the training were scored, by what they are good for",
    ["outcome"],
)
TRAINING_VERDICTS = Counter(
    "openrs_learner_verdicts", "How many completions of the training had which verdict", ["verdict"]
)
SCORED_REWARD = Gauge(
    "openrs_learner_scored_reward", "Mean reward of all groups scored since the step before"
)
SCORED_ACCURACY = Gauge(
    "openrs_learner_scored_accuracy", "Share of their verified completions that are correct"
)
SCORED_TRUNCATED = Gauge(
    "openrs_learner_scored_truncated_ratio", "Share of their completions that were cut off"
)
SCORED_LANGUAGE = Gauge(
    "openrs_learner_scored_language_ratio", "Mean share of the language asked for in them"
)
HELD_OUT = Gauge(
    "openrs_learner_held_out_accuracy",
    "Held-out accuracy, by set of problems and how it was sampled",
    ["set", "mode"],
)
HELD_OUT_TRUNCATED = Gauge(
    "openrs_learner_held_out_truncated_ratio",
    "Share of the completions of an evaluation that were cut off",
    ["set", "mode"],
)
EVALUATING = Gauge(
    "openrs_learner_evaluating", "1 while a policy is evaluated, and no newer one is published"
)
UNEVALUATED = Counter(
    "openrs_learner_unevaluated", "How many versions were not evaluated although it was their turn"
)
PUBLISH_SECONDS = Histogram(
    "openrs_learner_publish_seconds",
    "How long publishing weights took, by part",
    ["part"],
    buckets=(0.001, 0.003, *_SECONDS),
)
PUBLISHED_BYTES = Counter(
    "openrs_learner_published_bytes", "How many bytes of weights were published, by form", ["form"]
)
PUBLISHED_VERSION = Gauge(
    "openrs_learner_published_version", "Which policy version is the newest samplers can see"
)
WEIGHTS_RATIO = Gauge(
    "openrs_learner_weights_ratio",
    "How large the last payload of a form was, as a share of the policy",
    ["form"],
)
WEIGHTS_HELD = Gauge("openrs_learner_weights_held_bytes", "How many bytes of weights are in Redis")
CHECKPOINT_SECONDS = Histogram(
    "openrs_learner_checkpoint_seconds", "How long writing a checkpoint took", buckets=_SECONDS
)


# --- evaluator and curator ----------------------------------------------------------------------
SURVEY_DONE = Gauge("openrs_survey_completions", "How many completions of a survey are kept")
SURVEY_TOTAL = Gauge("openrs_survey_completions_wanted", "How many completions a survey asks for")


def serve(port: int, address: str) -> int:
    """Serve the metrics over HTTP; port 0 takes a free one. Returns the port.

    Raises:
        OSError: the port is taken.
    """
    server, _ = start_http_server(port, addr=address)
    return int(server.server_port)
