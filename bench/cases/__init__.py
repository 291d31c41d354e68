"""One module per subject, each with `run(plan) -> Iterable[Result]`."""
