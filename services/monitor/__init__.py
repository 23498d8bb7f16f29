"""Commands that look at a run from outside: `openrs weights`, `openrs dead`, and
at a recipe: `openrs config --explain`."""
