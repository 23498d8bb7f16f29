"""Where a model is, how large its vocabulary is, and the bits of its weights.

    directory   where a recipe's model is: the toy, a local directory, the hub
    size        rows of its embedding, by its configuration
    weights     its own weights as a policy
    tokenizer   texts to tokens and back
    words       the bits of a tensor, on either side of torch

Only `weights` and `words` import torch: who needs the others stays light.
"""
