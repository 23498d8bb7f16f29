"""Rewards as facts about a completion: pure functions, with formula, unit and source of each.

score         verdicts and rewards of a group -> its scores; which name is which function
form          is it in the expected form: `format`, `tag_count`, `reasoning_steps`
length        how long is it: `cosine`, `length`, `overlong`
repetition    does it say the same again: `repetition`
language      is it in the language asked for: `language`
prose         what of a text is neither mathematics nor code
own           functions of the user's, in child processes; the only ones that are not pure

What each means for a run, with its picture: docs/rewards.md.
"""
