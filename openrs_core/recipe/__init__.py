"""A recipe: everything that decides what a run does, in one TOML file.

Frozen, unknown keys refused, checked when it is made. What only says where a process runs (Redis
address, ports, directories) is no part of it: those are command-line options.

    section     what the tables below have in common
    model, data, sampler, scorer, learner, algorithm, length, curriculum,
    evaluation, toy
                one table of the file each, every key with its default and its meaning
    ring        the tables that every client of the ring needs: `RingRecipe`
    presets     published algorithms, as values of other keys
    training    those of a training run: `TrainingRecipe`
    file        read from TOML, changed with `--set`, compared
    explain     where every value comes from, and what it means
"""
