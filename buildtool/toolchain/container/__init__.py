"""Compilers in a container image, entered by podman or docker.

`engine` finds an engine and the image, `look` tells what is installed in it, `sandbox` runs a build's commands there.
"""
