"""AWS's public price lists: how they are read, and how the table of prices is brought up to date."""
