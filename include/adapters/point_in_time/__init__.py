"""Joins over Arrow: requests with what was known when each was asked, and with their labels."""

from include.adapters.point_in_time.join import point_in_time
from include.adapters.point_in_time.keys import Keys, KeysOfTwoKinds, KeysTold, can_meet
from include.adapters.point_in_time.labels import LabelGivenTwice, with_labels

__all__ = ["Keys", "KeysOfTwoKinds", "KeysTold", "LabelGivenTwice", "can_meet", "point_in_time", "with_labels"]
