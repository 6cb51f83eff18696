"""What a policy would have cost on a past stream, and the lowest possible cost."""
