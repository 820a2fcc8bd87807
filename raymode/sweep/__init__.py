"""Many runs over one budget: the variance law, the space of runs, running and asking them."""
