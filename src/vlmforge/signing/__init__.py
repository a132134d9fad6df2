"""Signatures of packages, in the format of OpenSSF Model Signing; ``docs/formats.md`` tells it.

    files ── digests ──► statement ── key ──► bundle: ``model.sig``

Signing reads what it signs; verifying reads the bundle first, then the files it names, and nothing
of a package is used before both have passed. Keys are files here; nothing is asked of the network.
"""
