"""`openrs export`: a trained model as a directory for others, with a card of its origin.

origin     the checkpoint that is exported, and the run it is of
files      weights, tokenizer and settings, without a trace of this machine
results    what evaluations found of it
curve      held-out accuracy while it was trained, as a picture
card       README.md, made of the run's record
license    what the base model's card says of its license
hub        publishing, where that is asked for
main       all of it, whole or not at all
"""
