"""`vertebra report`: the page again."""

from tests.cli.conftest import vertebra


def test_the_page_is_written_again_and_its_path_printed(trained):
    out, _ = trained
    page = out / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert vertebra("report", out) == (0, f"{page}\n", "")
    assert page.read_bytes() == before
