"""Render facts as HTML in three languages. Pure."""
