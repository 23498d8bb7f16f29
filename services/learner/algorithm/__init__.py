"""The choices of learning, pure: numbers in, numbers out; no torch, no Redis.

filters       which groups and completions a step is made of
outcome       what a scored group is good for, in one word
scored        what all scored groups were like, those without signal included
drought       has there been nothing to learn from for long?
curriculum    which problems are worth another visit
length        the longest completion of the moment
advantages    rewards -> what each completion is worth beside its siblings
aggregation   what each token counts in the loss
sequences     groups -> sequences with advantage and weight
entropy       what a bonus for entropy weighs
schedule      the learning rate of a step
"""
