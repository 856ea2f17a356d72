"""The outside world on one machine: Globus, Cobalt and AWS that real clients drive. Never shipped to Lambda."""
