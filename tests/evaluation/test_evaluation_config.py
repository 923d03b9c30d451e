import doctest

from jaxedit.evaluation import config


def test_the_example_runs():
    result = doctest.testmod(config)
    assert result.attempted >= 4
    assert not result.failed
