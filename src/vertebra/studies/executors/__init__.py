"""Where the runs of a study go: this machine, Ray, Slurm."""
