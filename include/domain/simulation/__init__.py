"""What a policy would have cost on a past stream, and the cheapest there could have been."""
