"""What openrs adds to each of vLLM's workers, on a CPU as on GPUs.

extension      the methods the engine calls in every worker; it owns the worker's places
places         where the values of a published tensor lie in a worker's share of the model
watch          learns the places, from vLLM's own loading of a whole policy
plain_weights  keeps a CPU's weights in the form they were loaded in
"""
