"""Into Ollama and out again: what an installation is, what it does with a device, and how it gets a new runner.

`status` reads and changes nothing. Facts about Ollama are data (``data/ollama.toml``); its discovery is imitated by the
small rules of `buildtool.deploy.rules`.
"""
