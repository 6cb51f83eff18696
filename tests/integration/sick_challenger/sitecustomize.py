"""On the path of a challenger's own process, this makes it sick: ``SLIPWAY_TEST_SICK`` says how."""

from __future__ import annotations

import os
import sys

HOW = os.environ.get("SLIPWAY_TEST_SICK")

if HOW and "include.workflows.scoring.challenger_process" in sys.orig_argv:
    sys.path.insert(0, os.getcwd())
    import signal
    import time
    from pathlib import Path

    import numpy as np

    from include.adapters import estimators

    healthy = estimators.predict

    def sick(pipeline, features, *, classes):
        Path(os.environ["SLIPWAY_TEST_SICK_PID"]).write_text(str(os.getpid()), encoding="utf-8")
        if HOW == "hangs":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(3600)
        if HOW == "segfaults":
            os.kill(os.getpid(), signal.SIGSEGV)
        if HOW == "aborts":
            os.abort()
        if HOW == "leaves":
            os._exit(0)
        if HOW == "eats memory":
            np.ones(int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 0.6) // 8)
        if HOW == "raises":
            raise ZeroDivisionError("one row in a hundred")
        if HOW == "is slow":
            time.sleep(2)
        if HOW == "mutates its input":
            for column in features.columns:
                features[column] = "south" if features[column].dtype == object else -1e9
        answers = healthy(pipeline, features, classes=classes)
        if HOW == "answers NaN":
            answers[:] = np.nan
        if HOW == "answers too few":
            return answers[:-1]
        if HOW == "answers a table":
            return np.column_stack([answers, 1 - answers])
        return answers

    estimators.predict = sick
