from __future__ import annotations

import sys
import threading

from skate.train._run.hangs import HangWatch, Look, frame_of, look_at

_STUCK = Look("collective", "train.py:10", "all_reduce", 1.0)


def _watch() -> HangWatch:
    return HangWatch(patience_s=20, warn_after_s=60)


def test_a_rank_that_has_ended_will_never_come() -> None:
    watch = _watch()
    looks = [_STUCK, Look("ended", cpu_s=1.0)]
    assert watch.look(looks, 0) == (None, None)
    assert watch.look(looks, 19) == (None, None)
    error, _ = watch.look(looks, 20)
    assert error == (
        "rank 0 has waited for 20 s in all_reduce() at train.py:10; rank 1 has returned from the training function"
    )


def test_a_rank_in_report_will_never_come() -> None:
    watch = _watch()
    looks = [Look("meeting", "train.py:12", "report", 1.0), _STUCK]
    watch.look(looks, 0)
    error, _ = watch.look(looks, 21)
    assert error is not None and "rank 0 waits for the others in report() at train.py:12" in error


def test_a_rank_that_works_may_come() -> None:
    watch = _watch()
    for now in range(0, 200, 5):
        looks = [_STUCK, Look("runs", "train.py:8", "loop", float(now))]
        error, warning = watch.look(looks, now)
        assert error is None
        assert (warning is not None) == (now == 60), "said once"


def test_a_backward_pass_that_computes_is_no_wait() -> None:
    watch = _watch()
    for now in range(0, 200, 5):
        computes = Look("collective", "train.py:11", "engine_run_backward", float(now))
        assert watch.look([computes, Look("ended")], now) == (None, None)


def test_news_begin_the_wait_anew() -> None:
    watch = _watch()
    looks = [_STUCK, Look("ended")]
    watch.look(looks, 0)
    watch.forget()
    assert watch.look(looks, 30) == (None, None)
    assert watch.look(looks, 40) == (None, None)


def test_what_a_thread_does() -> None:
    ready, done = threading.Event(), threading.Event()

    def work() -> None:
        ready.set()
        done.wait()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    found = look_at(frame_of(thread), 0.0)
    assert found.state == "runs" and found.call == "work" and __file__ in found.where
    done.set()
    thread.join()
    assert look_at(frame_of(thread), 0.0).state == "ended"
    assert look_at(sys._getframe(), 0.0).call == "test_what_a_thread_does"
