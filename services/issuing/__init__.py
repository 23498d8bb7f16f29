"""What a client of the ring needs: prompts out, their scored groups back.

sources       rows of files and data sets, with their numbers
rows          what of a row is used, and which rows cannot be
references    which reference answers math-verify cannot read
rendering     the model's chat template: a problem as tokens
progress      a log line every few seconds for what takes long
problems      the data set's problems, in a seeded order
intake        is a scored group what was issued?
issuer        sends prompts, keeps them until their groups are settled, sends lost ones again
evaluation    held-out accuracy through the same ring
"""
