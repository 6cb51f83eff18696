"""What one retrain costs, in the unit of what a policy loses: the watched loss, summed over rows."""

from __future__ import annotations

from dataclasses import dataclass

PRICE_IN_DAYS = 0.9
"""Where no price is declared, one retrain costs as much as the first champion loses in so many days. The study of
docs/adr/0037 used this share."""


@dataclass(frozen=True, slots=True)
class RetrainPrice:
    """``amount`` in units of the summed loss (of rmse: of squared errors), and in words where it is from."""

    amount: float
    source: str


def price_of(given: float | None, declared: float | None, first_loss_a_day: float) -> RetrainPrice:
    """The price that is used: as given for this run, else as declared, else a share of a day's loss.

    Args:
        given: 0 or more; None where the run was given none.
        declared: ``training.price``, None where it is left out.
        first_loss_a_day: the summed loss of a day of the first champion, on its held-out rows.

    >>> price_of(None, None, 30.0)
    RetrainPrice(amount=27.0, source='0.9 of a day of the first champion, because training.price is not declared')
    >>> price_of(None, 12.0, 30.0).source, price_of(5.0, 12.0, 30.0).amount
    ('declared as training.price', 5.0)
    """
    if given is not None:
        return RetrainPrice(given, "given with --price")
    if declared is not None:
        return RetrainPrice(declared, "declared as training.price")
    return RetrainPrice(
        PRICE_IN_DAYS * first_loss_a_day,
        f"{PRICE_IN_DAYS:g} of a day of the first champion, because training.price is not declared",
    )
