"""From predictions to visits: when one begins and ends, and which picture of it is kept."""
