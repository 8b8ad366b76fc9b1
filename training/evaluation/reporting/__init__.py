"""The report and the model card, with charts and misclassified photos."""
