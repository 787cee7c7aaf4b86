"""Programs that run inside the throw-away environment; they import nothing of gpubuild."""
