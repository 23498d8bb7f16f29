"""The training step under DeepSpeed: all of the learner that imports torch.

deepspeed        the trainer: one optimizer step on a batch, on one rank or several
configuration    what DeepSpeed is told
policy_network   the model as the loss needs it
head             its lm_head: log-probabilities and entropies, never [tokens x vocabulary]
own_forward      whether that is what the model's own forward gives
batch            sequences -> micro-batches of tensors
loss             the loss of each token
entropy          which tokens carry the policy gradient, and what entropy earns
reference        the frozen policy of the KL
totals           what a step's tokens add up to
guard            the last look at a step, before anything moves
difference       what a step changed in the weights
optimizer_state  masters and moments as plain tensors
ranks            how the ranks come together, and how rank 0 tells the others what to do
watch            what ends one rank ends all
"""
