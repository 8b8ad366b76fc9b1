"""Between the program's resources and the provider's: types, names and values."""
