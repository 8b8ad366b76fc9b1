"""Runs the Pulumi program against recorded state: nothing is deployed, and nothing outside this machine is asked."""
