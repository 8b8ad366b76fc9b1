"""The effects of a change on served models, for the page of a preview. See docs/design/preview.md."""
