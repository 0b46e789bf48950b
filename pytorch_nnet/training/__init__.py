"""One trainer for every network, its schedules, losses and checkpoints; evaluation; the teacher's dump."""
