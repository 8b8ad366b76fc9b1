"""Certificates: signed statements about exactly one version digest."""
