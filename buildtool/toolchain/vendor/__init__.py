"""Toolkits from a vendor's own server, or a copy of it: the user says where it is, never a host of ours.

`channels` says which servers there are and where they are named, `server` asks one, `offers` tells what they have,
`redist` makes a CUDA toolkit of NVIDIA's archives, `therock` and `therock_wheels` a ROCm of AMD's.
"""
