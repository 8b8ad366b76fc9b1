"""Search over hyper-parameters: studies, their driver, and what people see of them (`docs/design/search.md`)."""
