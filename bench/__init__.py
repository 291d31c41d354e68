"""What taskmeter costs the program it runs in: paired measurements, run by `python -m bench`."""
