"""Runs the Pulumi program against recorded state: nothing is deployed, and nothing remote is contacted."""
