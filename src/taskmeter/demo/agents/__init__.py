"""Three sample agents, written the way an application would write them."""
