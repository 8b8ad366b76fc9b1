"""What a worker does, by the purpose of its order: a module for each purpose, and which function does which."""
