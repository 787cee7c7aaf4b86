"""Tables of the probe: messages of tools, PCI ids, chips; every table names its source."""
