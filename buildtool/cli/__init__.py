"""Words, tables, progress, exit codes: parse, call one room, render."""
