import signal
import threading

import pytest

from vertebra.engine.interrupt import Interrupts

KINDS = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_signal_is_only_noted(kind):
    with Interrupts() as interrupts:
        assert interrupts.asked is None
        signal.raise_signal(kind)
        assert interrupts.asked == kind.name


def test_a_second_sigint_stops_at_once():
    with Interrupts():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_second_sigterm_is_as_patient_as_the_first():
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.asked == "SIGTERM"


def test_handlers_are_put_back():
    before = [signal.getsignal(kind) for kind in KINDS]
    with pytest.raises(KeyError), Interrupts():
        assert [signal.getsignal(kind) for kind in KINDS] != before
        raise KeyError
    assert [signal.getsignal(kind) for kind in KINDS] == before


def test_another_thread_leaves_the_handlers_alone():
    before = [signal.getsignal(kind) for kind in KINDS]
    seen = []

    def run():
        with Interrupts() as interrupts:
            seen.append((interrupts.asked, [signal.getsignal(kind) for kind in KINDS]))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(None, before)]
