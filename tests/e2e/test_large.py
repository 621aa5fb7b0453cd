"""What takes minutes: a file of several gigabytes and fifty thousand small ones."""

import pytest
from test_tree import copy_twice
from world import tree

GIB = 1024**3
pytestmark = [pytest.mark.large, pytest.mark.timeout(3000)]


def test_a_file_of_several_gibibytes(site):
    source = site.source("gigabytes")
    tree.big(source + b"/big", 5 * GIB + 1)
    copy_twice(site, source, timeout=1200)


def test_fifty_thousand_small_files(site):
    source = site.source("fifty-thousand")
    tree.many(source, 50_000)
    copy_twice(site, source, timeout=1200)
