"""Names of the planner that programs written for Ray import."""
