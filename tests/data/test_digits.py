import numpy as np
from sklearn.datasets import load_digits

from vertebra.data.digits import open_digits


def test_digits_are_scikit_learns_with_the_last_third_held_out():
    source = open_digits()
    train, test = source.splits["train"], source.splits["test"]
    assert (len(train), len(test)) == (1198, 599)
    assert source.classes == tuple("0123456789")
    images, target = load_digits(return_X_y=True)
    assert np.concatenate([train.labels, test.labels]).tolist() == target.tolist()
    for split, index, row in ((train, 5, 5), (test, 0, 1198), (test, 598, 1796)):
        pixels = np.asarray(split.open(index, 1))
        assert np.abs(pixels / 255 * 16 - images[row].reshape(8, 8)).max() < 0.04
    assert not set(train.names) & set(test.names)
    assert train.in_memory
