"""What a client of the ring needs: prompts out, their scored groups back.

problems      the data set, rendered, in a seeded order
intake        is a scored group what was issued?
issuer        sends prompts, keeps them until their groups are settled, sends lost ones again
evaluation    held-out accuracy through the same ring
"""
