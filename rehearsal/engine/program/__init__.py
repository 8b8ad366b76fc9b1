"""The Pulumi program: runs it in a process of its own, and serves Pulumi's protocol to it."""
