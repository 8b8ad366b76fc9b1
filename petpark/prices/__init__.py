"""AWS's public price lists: reading them, and updating the table of prices."""
