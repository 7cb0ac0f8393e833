"""A project as a bundle, at a terminal."""

import tarfile
from io import BytesIO


def test_a_bundle_is_written_whole_and_overwrites_nothing(desk):
    desk.writes("a.md", "# A")
    done = desk.run("export-okf")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().splitlines() == [
        "in default/shop (name)",
        "wrote shop.okf.tar.gz: 2 files of default/shop",
    ]
    with tarfile.open(desk.shop / "shop.okf.tar.gz") as archive:
        assert archive.getnames() == ["_meta.md", "a.md", "index.md"]
    assert (desk.shop / "shop.okf.tar.gz").stat().st_mode & 0o777 == 0o600
    assert desk.refuses("export-okf") == (1, "error: shop.okf.tar.gz is there already: name another file with -o")
    assert desk.run("export-okf", "-o", "no/such/folder.tar.gz").returncode == 3
    assert [file.name for file in desk.shop.iterdir()] == ["shop.okf.tar.gz"]


def test_a_bundle_goes_into_a_pipe(desk, tmp_path):
    desk.writes("a.md", "# A", "--project", "ideas")
    piped = desk.run("export-okf", "--project", "ideas", "-o", "-", cwd=tmp_path)
    with tarfile.open(fileobj=BytesIO(piped.stdout)) as archive:
        assert "a.md" in archive.getnames()


def test_a_page_that_cannot_be_part_of_it_is_named_and_left_out_on_request(desk):
    desk.writes("a.md", "# A")
    desk.writes("b.md", "<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs")
    code, said = desk.refuses("export-okf")
    assert (code, "b.md: conflict markers" in said, "--skip-broken" in said) == (2, True, True)
    assert list(desk.shop.iterdir()) == []
    done = desk.run("export-okf", "--skip-broken")
    left_out, wrote = done.stderr.decode().splitlines()[1:]
    assert left_out.startswith("left out: b.md: conflict markers")
    assert wrote == "wrote shop.okf.tar.gz: 2 files of default/shop"
