"""The demonstration: a stub provider and three sample agents."""
