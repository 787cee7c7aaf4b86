"""Toolkits as private root filesystems, made from a Debian suite without root.

`suite` says where packages come from, `resolve` which versions there are, `make` puts them into the store, `layout`
finds the compilers inside, `provide` hands them over.
"""
