"""Commands about the account and this machine: `doctor`, `costs`, `people`, `rehearse`."""
