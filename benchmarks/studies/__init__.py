"""Studies: what a choice of learning does, measured on the toy over several seeds.

study        what is compared: arms, each a recipe with other values
staleness, stabilisers, shapes, experiments      the studies
run          one arm with one seed: a real run of `openrs up`, and what came of it
results      what is known so far, a line per run, in results/NAME.jsonl
numbers      means and intervals over seeds
page         tables and pictures of docs/studies.md
"""
