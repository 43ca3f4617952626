"""Views that act in the middle of a run, for tests of what is left of it."""

import os
import signal


class PowerCut(Exception):
    """Stands for a kill: no handler of ours sees it coming."""


class Scripted:
    """A view that does something at a step, and keeps what it is told."""

    def __init__(self, at=None, act=None):
        self.at, self.act = at, act
        self.messages = []
        self.steps = []

    def start(self, total_steps, steps_per_epoch):
        self.total = total_steps

    def step(self, step, *, loss, images_per_s, data_wait, lr):
        self.steps.append(step)
        if step == self.at:
            self.act()

    def evaluation(self, step, *, split, figures): ...

    def message(self, text):
        self.messages.append(text)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def cut():
    raise PowerCut
