"""One module per source of facts about GPUs: a pure ``parse`` over text, and how to get that text."""
