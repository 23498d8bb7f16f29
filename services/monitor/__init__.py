"""Commands that look at a run from outside: `openrs weights`, `openrs dead`, `openrs export`,
and at a recipe: `openrs config --explain`."""
