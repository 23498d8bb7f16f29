"""The choices of learning, pure: numbers in, numbers out; no torch, no Redis.

filters       which groups a step is made of
advantages    rewards -> what each completion is worth beside its siblings
aggregation   what each token counts in the loss
sequences     groups -> sequences with advantage and weight
schedule      the learning rate of a step
"""
