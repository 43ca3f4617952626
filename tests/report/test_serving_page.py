"""The page of a server: nothing in it is read as HTML, and it asks its own server alone."""

from tests.report.reader import Page

from vertebra.report.serving_page import serving_page

STRANGE = ("<script>alert(1)</script>", "a & b")


def test_it_says_what_the_network_is_and_escapes_it(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(serving_page("<i>net", STRANGE, facts={"input": "3 x 8 x 8 px"}), "utf-8")
    page = Page(path)
    for told in ("<i>net", "knows 2 classes", ", ".join(STRANGE), "input 3 x 8 x 8 px"):
        assert told in page.text()
    assert [tag for tag, _ in page.tags if tag == "script"] == ["script"]


def test_it_loads_nothing_and_may_ask_its_own_server_alone(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(serving_page("net", STRANGE, facts={}), "utf-8")
    (policy,) = (
        given["content"]
        for tag, given in Page(path).tags
        if tag == "meta" and given.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ") and policy.endswith("; connect-src 'self'")
    assert "://" not in path.read_text("utf-8")
