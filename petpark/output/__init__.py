"""Output of commands: tables for people, one JSON document for programs, progress on a terminal or in a log."""
