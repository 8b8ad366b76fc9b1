"""Commands about running endpoints: `endpoints`, `experiment`, `keys`, `camera`."""
