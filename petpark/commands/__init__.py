"""One thin module per group of commands: options in, a library call, facts out."""
