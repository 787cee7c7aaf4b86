"""Does it really work on this device? Runs the artefact."""
