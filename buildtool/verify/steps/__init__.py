"""The steps of a proof, one module each."""
