"""What a change means for the models that answer, for the page of a preview. See docs/design/preview.md."""
