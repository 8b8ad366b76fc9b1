"""`petpark preview`: what a change would do, as one page. See docs/design/preview.md."""
