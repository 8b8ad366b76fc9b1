"""`petpark preview`: the effects of a change as one page. See docs/design/preview.md."""
